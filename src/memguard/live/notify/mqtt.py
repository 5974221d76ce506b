"""Notifications by MQTT, which Home Assistant discovers."""

import json
import re
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from threading import Event as Signal
from typing import Any, get_args
from urllib.parse import unquote, urlsplit

from memguard.data.video.addresses import encoded, shown
from memguard.errors import ConfigError
from memguard.live.notify.delivery import TIMEOUT, NotDeliveredError
from memguard.live.reports import END, Kind, Report

PORTS = {"mqtt": 1883, "mqtts": 8883}
LONGEST_PAUSE = 60  # seconds between attempts to connect
# Home Assistant chooses a sensor's words and symbol by its class.
DEVICE_CLASSES: dict[Kind, str] = {
    "anomaly": "motion", "standing": "occupancy", "outage": "problem", "condition": "problem"
}  # fmt: skip


class Mqtt:
    """Publish reports to a broker, and sensors to Home Assistant.

    The topics of a camera are ``memguard/CAMERA/anomaly``, ``ON`` while an anomaly lasts and else
    ``OFF``; ``memguard/CAMERA/anomaly/report``, the line of ``events.jsonl``; both for
    ``standing``, ``outage`` and ``condition`` as well; and ``memguard/CAMERA/snapshot``, the JPEG
    of the latest anomaly or thing that stands. All are retained. ``memguard/CAMERA/status`` of the
    first camera is ``online`` or ``offline``.

    Args:
        url: ``mqtt://user:password@host:1883``, or ``mqtts://…`` for an encrypted connection.
        cameras: The names of the cameras.

    Raises:
        ConfigError: paho-mqtt is not installed.
    """

    def __init__(self, url: str, cameras: Sequence[str]) -> None:
        if find_spec("paho") is None:
            raise ConfigError(
                "notify.mqtt needs the package paho-mqtt: pip install paho-mqtt, or leave "
                "notify.mqtt out."
            )
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        self.name, self._cameras = shown(url), cameras
        self._status = f"memguard/{slug(cameras[0])}/status"
        self._states: dict[str, str] = {}
        self._connected, self._problem = Signal(), "no connection"
        parts = urlsplit(encoded(url))
        client = Client(CallbackAPIVersion.VERSION2)
        if parts.username is not None:
            client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            client.tls_set()
        client.will_set(self._status, "offline", qos=1, retain=True)
        client.reconnect_delay_set(max_delay=LONGEST_PAUSE)
        client.on_connect = self._announce
        client.on_disconnect = lambda *_: self._connected.clear()
        client.connect_async(parts.hostname or "localhost", parts.port or PORTS[parts.scheme])
        client.loop_start()
        self._client = client

    def send(self, report: Report) -> None:
        """Publish a report.

        Raises:
            NotDeliveredError: The broker cannot be reached, or does not confirm.
        """
        if not self._connected.wait(TIMEOUT):
            raise NotDeliveredError(self._problem)
        topic = f"memguard/{slug(report.camera)}/{report.kind}"
        self._states[topic] = "OFF" if report.state == END else "ON"
        self._publish(f"{topic}/report", report.model_dump_json())
        self._publish(topic, self._states[topic])
        if report.snapshot and (picture := _read(Path(report.snapshot))):
            self._publish(f"memguard/{slug(report.camera)}/snapshot", picture)

    def close(self) -> None:
        """Publish that the cameras are offline, and end the connection."""
        if self._connected.is_set():
            self._client.publish(self._status, "offline", qos=1, retain=True)
        self._client.disconnect()
        self._client.loop_stop()

    def _publish(self, topic: str, content: str | bytes) -> None:
        """Publish to a topic, and wait until the broker confirms."""
        message = self._client.publish(topic, content, qos=1, retain=True)
        try:
            message.wait_for_publish(TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise NotDeliveredError(str(error)) from None
        if not message.is_published():
            raise NotDeliveredError("the broker does not confirm")

    def _announce(self, client: Any, _data: Any, _flags: Any, code: Any, _properties: Any) -> None:
        """Publish all sensors and their states, which a restarted broker has forgotten."""
        if code.is_failure:
            self._problem = str(code)
            return
        for camera in self._cameras:
            for topic, content in sensors(camera, self._status):
                client.publish(topic, json.dumps(content), qos=1, retain=True)
                state = content.get("state_topic")
                if state:
                    client.publish(state, self._states.get(state, "OFF"), qos=1, retain=True)
        client.publish(self._status, "online", qos=1, retain=True)
        self._connected.set()


def sensors(camera: str, status: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Describe a camera's sensors to Home Assistant.

    Args:
        camera: The name of the camera.
        status: The topic that is ``online`` or ``offline``.

    Returns:
        The topic and the content of each description.

    Example:
        >>> topics = dict(sensors("front door", "memguard/front_door/status"))
        >>> list(topics)[0]
        'homeassistant/binary_sensor/memguard_front_door/anomaly/config'
    """
    name = slug(camera)
    device = {"identifiers": [f"memguard_{name}"], "name": camera, "manufacturer": "memguard"}
    common = {"availability_topic": status, "device": device}
    for kind in get_args(Kind):
        topic = f"memguard/{name}/{kind}"
        yield (
            f"homeassistant/binary_sensor/memguard_{name}/{kind}/config",
            {
                "name": kind.capitalize(),
                "unique_id": f"memguard_{name}_{kind}",
                "device_class": DEVICE_CLASSES[kind],
                "state_topic": topic,
                "json_attributes_topic": f"{topic}/report",
                **common,
            },
        )
    yield (
        f"homeassistant/image/memguard_{name}/snapshot/config",
        {
            "name": "Snapshot",
            "unique_id": f"memguard_{name}_snapshot",
            "image_topic": f"memguard/{name}/snapshot",
            "content_type": "image/jpeg",
            **common,
        },
    )


def slug(camera: str) -> str:
    """Return the name of a camera as a part of topics.

    Example:
        >>> slug("front door/2")
        'front_door_2'
    """
    return re.sub(r"[^\w-]", "_", camera, flags=re.ASCII)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:  # it is too old
        return None
