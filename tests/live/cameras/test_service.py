"""The notifications of cameras, through a restart with other cameras."""

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Event

import pytest
from omegaconf import DictConfig, OmegaConf

from memguard.live.cameras.service import _deliveries
from tests.live.notify.conftest import report


def cameras(**commands: Sequence[str]) -> Mapping[str, DictConfig]:
    """Settings of cameras, each with the command that receives its reports."""
    return {
        name: OmegaConf.create({"notify": {"webhook": None, "mqtt": None, "command": words}})
        for name, words in commands.items()
    }


def test_notifications_that_wait_are_for_their_receiver_alone(tmp_path: Path) -> None:
    door = [sys.executable, "-c", f"open({str(tmp_path / 'door')!r}, 'a').write('x')"]
    yard = [sys.executable, "-c", f"open({str(tmp_path / 'yard')!r}, 'a').write('x')"]
    with _deliveries(cameras(door=door), "cameras.yaml", tmp_path / "spool", Event()) as opened:
        (delivery,) = opened["door"]
        spool = delivery._spool
    spool.mkdir(parents=True)
    (spool / "1.json").write_text(report(1).model_dump_json())  # as a killed process leaves it
    with _deliveries(cameras(yard=yard, door=door), "cameras.yaml", tmp_path / "spool", Event()):
        until = time.monotonic() + 20
        while not (tmp_path / "door").exists():
            assert time.monotonic() < until
            time.sleep(0.02)
    assert not (tmp_path / "yard").exists()


def test_notifications_of_a_receiver_that_no_camera_has_any_more_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "spool"
    with _deliveries(cameras(door=["true"]), "cameras.yaml", spool, Event()) as opened:
        (delivery,) = opened["door"]
        earlier = delivery._spool
    for number in range(3):
        earlier.mkdir(parents=True, exist_ok=True)
        (earlier / f"{number}.json").write_text(report(number).model_dump_json())
    with _deliveries(cameras(door=["false"]), "cameras.yaml", spool, Event()):
        pass
    assert (
        f"{earlier.parent}: 3 notifications wait for a receiver that no camera has" in caplog.text
    )
    caplog.clear()
    with _deliveries(cameras(door=["true"]), "cameras.yaml", spool, Event()):
        pass
    assert caplog.text == ""
