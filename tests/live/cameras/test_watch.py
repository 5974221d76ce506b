"""The watch refuses in one sentence what it cannot use, before any work begins."""

import logging
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

from memguard.config.cameras import read_cameras
from memguard.errors import UserError
from memguard.live.cameras import service
from memguard.live.cameras.watch import watch
from memguard.live.scorer import LiveScorer
from tests.config.test_schema import composed
from tests.live.test_scorer import scorer

RATE = r" \S+ an hour[^:]*(?= are)"
CAMERAS = """
door: {source: rtsp://u:s3cret@127.0.0.1:1/1, checkpoint: house.ckpt}
yard: {source: rtsp://u:s3cret@127.0.0.1:1/2, checkpoint: house.ckpt}
attic: {source: rtsp://u:s3cret@127.0.0.1:1/3, checkpoint: attic.ckpt, ignored: white.png}
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    raises = logging.raiseExceptions
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cameras.yaml").write_text(CAMERAS)
    Image.new("L", (8, 8), 255).save("white.png")
    yield
    logging.raiseExceptions = raises


def refusal(*overrides: str) -> str:
    """The sentence that refuses to watch the cameras."""
    with pytest.raises(UserError) as refused:
        watch(composed("watch", "cameras=cameras.yaml", "folder=out", *overrides))
    assert "s3cret" not in str(refused.value)
    return str(refused.value)


def test_a_place_that_cannot_be_served_is_refused_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MEMGUARD_WATCH_TOKEN", raising=False)
    assert "set the environment variable MEMGUARD_WATCH_TOKEN" in refusal("serve=0.0.0.0:0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        served = f"serve=127.0.0.1:{taken.getsockname()[1]}"
        assert refusal(served).startswith(f"{served}: the live page cannot be served there")
    assert not Path("out").exists()


def test_an_accelerator_that_is_not_there_is_refused() -> None:
    assert refusal("trainer.accelerator=cuda0").startswith("trainer.accelerator=cuda0 cannot work")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda path: None, "There is no checkpoint house.ckpt"),
        (lambda path: path.write_text("garbage"), "house.ckpt cannot be read as a checkpoint"),
        (lambda path: path.mkdir(), "house.ckpt is a folder and no checkpoint: set checkpoint to"),
    ],
)
def test_a_checkpoint_is_named_with_its_cameras_and_their_file(write, sentence) -> None:  # type: ignore[no-untyped-def]
    write(Path("house.ckpt"))
    assert refusal().startswith(f"cameras.yaml: door, yard: {sentence}")
    assert not any(Path("out").iterdir())


def test_a_mask_is_named_with_its_camera_and_file(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: LiveScorer = scorer("video")
    monkeypatch.setattr(service, "load", lambda *_, **__: loaded)
    assert refusal().startswith("cameras.yaml: attic: white.png: this mask ignores the whole")
    assert not any(Path("out").iterdir())
    Path("white.png").write_text("garbage")
    assert refusal().startswith("cameras.yaml: attic: white.png: this mask is no image")


def test_a_command_that_is_not_there_is_named_with_its_cameras(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: LiveScorer = scorer("video")
    monkeypatch.setattr(service, "load", lambda *_, **__: loaded)
    Image.new("L", (8, 8), 0).save("white.png")
    said = refusal("notify.command=[/nope/ring]", "notify.webhook=http://127.0.0.1:1")
    assert said.startswith("cameras.yaml: door, yard, attic: notify.command=/nope/ring cannot work")
    assert not any(Path("out").iterdir())


def test_rates_that_few_hours_do_not_support_are_said_of_both_scores_by_camera(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    loaded: LiveScorer = scorer("video")
    loaded.detector.standing.calibrate([torch.linspace(0, 1, 40)])
    monkeypatch.setattr(service, "load", lambda *_, **__: loaded)
    config = composed("watch", "cameras=cameras.yaml", "alarm.false_per_hour=12")
    cameras = read_cameras(Path("cameras.yaml"), config)
    cameras["door"].standing = True
    service._scorers(cameras, config)
    said = [record.getMessage() for record in caplog.records if "extrapolated" in record.msg]
    found = [(each.partition(": ")[0], *re.findall(RATE, each)) for each in said]
    assert found == [
        ("door", " 6 an hour, the share of anomalies in 12 an hour,"),
        ("door", " 6 an hour, the share of things that stand still in 12 an hour,"),
        ("yard", " 12 an hour"),
        ("attic", " 12 an hour"),
    ]
