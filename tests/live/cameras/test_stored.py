"""Stored items continue after a restart; the example file of cameras is read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from memguard.config.cameras import read_cameras
from memguard.live.cameras.stored_items import StoredItems
from tests.config.test_schema import composed
from tests.live.test_scorer import scorer

ROOT = Path(__file__).parents[3]


def test_items_continue_for_the_same_checkpoint_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, changed = tmp_path / "items.npz", torch.full((5, 8), 0.25)
    before = scorer("video")
    before.detector.guard.restore(2, changed)
    StoredItems(path, before, 2).save()

    after = scorer("video")
    StoredItems(path, after, 7)
    assert torch.equal(after.detector.guard.items([7])[0], changed)
    assert torch.equal(after.detector.guard.items([1])[0], after.detector.memory.items)

    other = scorer("video")
    other.detector.memory.items += 1
    StoredItems(path, other, 7)
    assert torch.equal(other.detector.guard.items([7])[0], other.detector.memory.items)
    assert "it is of another checkpoint" in caplog.text


@pytest.mark.parametrize("content", [b"no file of NumPy's", b""])
def test_damaged_items_are_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes
) -> None:
    path = tmp_path / "items.npz"
    path.write_bytes(content)
    begun = scorer("video")
    StoredItems(path, begun, 1)
    assert torch.equal(begun.detector.guard.items([1])[0], begun.detector.memory.items)
    assert "items.npz is left out" in caplog.text


def test_nothing_in_stored_items_is_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "items.npz"
    np.savez(path, items=np.array([print], dtype=object), trained="a", allow_pickle=True)
    StoredItems(path, scorer("video"), 1)
    assert "items.npz is left out" in caplog.text


def test_the_example_file_of_cameras_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "secret")
    path = ROOT / "examples" / "cameras.yaml"
    cameras = read_cameras(path, composed("watch", f"cameras={path}"))
    assert list(cameras) == ["door", "yard", "gate"]
    assert cameras["door"].source == "rtsp://admin:secret@10.0.0.7/stream1"
