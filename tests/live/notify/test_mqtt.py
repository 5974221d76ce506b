"""Reports reach a real broker, and Home Assistant finds the cameras."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from memguard.errors import ConfigError
from memguard.live.notify import mqtt as mqtt_module
from memguard.live.notify.delivery import NotDeliveredError
from memguard.live.notify.mqtt import Mqtt
from tests.live.notify.conftest import report

paho = pytest.importorskip("paho.mqtt.client")
BROKER = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
PASSWORD = "p@ss:w/rd"
needs_broker = pytest.mark.skipif(BROKER is None, reason="the broker mosquitto is not installed")


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def broker(folder: Path, port: int) -> Iterator[None]:
    """A broker that takes one user alone."""
    passwords = folder / "passwords"
    if not passwords.exists():
        program = str(Path(str(BROKER)).with_name("mosquitto_passwd"))
        program = program if Path(program).exists() else "mosquitto_passwd"
        subprocess.run([program, "-b", "-c", str(passwords), "ann", PASSWORD], check=True)
        passwords.chmod(0o644)
    config = folder / "broker.conf"
    config.write_text(f"listener {port} 127.0.0.1\npassword_file {passwords}\nuser root\n")
    process = subprocess.Popen([str(BROKER), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: answers(port))
        yield
    finally:
        process.kill()
        process.wait()


def answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


class Listener:
    """A subscriber to all topics, with the latest message of each."""

    def __init__(self, port: int) -> None:
        self.topics: dict[str, bytes] = {}
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self.client.username_pw_set("ann", PASSWORD)
        self.client.on_message = self._take
        self.client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _take(self, client: object, data: object, message: paho.MQTTMessage) -> None:
        self.topics[message.topic] = message.payload

    def wait_for(self, topic: str, content: bytes) -> None:
        wait_until(lambda: self.topics.get(topic) == content)


def url(port: int, password: str = "p%40ss:w%2Frd") -> str:
    return f"mqtt://ann:{password}@127.0.0.1:{port}"


@needs_broker
def test_an_event_is_published_with_its_sensors_and_its_snapshot(tmp_path: Path) -> None:
    picture = tmp_path / "door-1.jpg"
    picture.write_bytes(b"\xff\xd8picture")
    port = free_port()
    with broker(tmp_path, port):
        listener, mqtt = Listener(port), Mqtt(url(port), ["front door", "yard"])
        listener.wait_for("memguard/front_door/status", b"online")
        listener.wait_for("memguard/yard/anomaly", b"OFF")
        mqtt.send(report(1, snapshot=str(picture)))
        listener.wait_for("memguard/front_door/anomaly", b"ON")
        listener.wait_for("memguard/front_door/snapshot", b"\xff\xd8picture")
        assert json.loads(listener.topics["memguard/front_door/anomaly/report"])["id"] == "door-1"
        mqtt.send(report(1, state="end", snapshot=str(tmp_path / "gone.jpg")))
        listener.wait_for("memguard/front_door/anomaly", b"OFF")
        mqtt.close()
        listener.wait_for("memguard/front_door/status", b"offline")
        sensors = {
            topic: json.loads(content)
            for topic, content in listener.topics.items()
            if topic.startswith("homeassistant/")
        }
    assert len(sensors) == 2 * 5
    sensor = sensors["homeassistant/binary_sensor/memguard_front_door/anomaly/config"]
    assert sensor["state_topic"] == "memguard/front_door/anomaly"
    assert sensor["device"]["name"] == "front door"
    assert len({sensor["unique_id"] for sensor in sensors.values()}) == 10
    assert "homeassistant/binary_sensor/memguard_yard/standing/config" in sensors


@needs_broker
def test_a_broker_that_restarts_gets_the_state_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    mqtt = Mqtt(url(port), ["front door"])  # before the broker
    monkeypatch.setattr(mqtt_module, "TIMEOUT", 0.2)
    with pytest.raises(NotDeliveredError, match=r"^no connection$"):
        mqtt.send(report(1))
    monkeypatch.setattr(mqtt_module, "TIMEOUT", 20.0)
    with broker(tmp_path, port):
        mqtt.send(report(1))
    wait_until(lambda: not mqtt._connected.is_set())
    with broker(tmp_path, port):  # has no memory of the former one
        listener = Listener(port)
        listener.wait_for("memguard/front_door/anomaly", b"ON")
    mqtt.close()


@needs_broker
def test_a_wrong_password_is_said_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setattr(mqtt_module, "TIMEOUT", 1.0)
    with broker(tmp_path, port):
        mqtt = Mqtt(url(port, "wrong"), ["door"])
        wait_until(lambda: mqtt._problem != "no connection")
        with pytest.raises(NotDeliveredError, match=r"^Not authorized$"):
            mqtt.send(report(1))
        mqtt.close()
    assert mqtt.name == f"mqtt://***@127.0.0.1:{port}"


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mqtt_module, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"notify\.mqtt needs the package paho-mqtt: pip install"):
        Mqtt("mqtt://door", ["door"])
