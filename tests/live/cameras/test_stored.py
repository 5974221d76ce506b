"""Stored items and backgrounds continue after a restart; the example file of cameras is read."""

from pathlib import Path

import numpy as np
import pytest
import torch

from memguard.config.cameras import read_cameras
from memguard.live.cameras.stored import StoredBackground, StoredItems
from memguard.live.standing import Background
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


def learned_background() -> Background:
    """A background of a hundred seconds, not square, darker on its left."""
    background = Background((6, 8), (0.5, 0.25))
    picture = np.full((3, 12, 16), 100, np.uint8)
    picture[:, :, :4] = 20
    for second in range(100):
        background.add(picture, float(second))
    return background


def test_a_background_continues_with_its_clock(tmp_path: Path) -> None:
    before, after = learned_background(), Background((6, 8), (0.5, 0.25))
    StoredBackground(tmp_path / "background.npz", before).save()
    StoredBackground(tmp_path / "background.npz", after)
    np.testing.assert_array_equal(after.state().slow, before.state().slow)
    assert after.state()[1:] == (100, 99.0, 120.0)
    assert after.state().slow[0].tolist() == [20.0] * 2 + [100.0] * 6


@pytest.mark.parametrize("reason", ["it is of frames of another size", "it is damaged"])
def test_a_background_that_cannot_be_used_is_left_out_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, reason: str
) -> None:
    path = tmp_path / "background.npz"
    StoredBackground(path, learned_background()).save()
    if "damaged" in reason:
        path.write_bytes(path.read_bytes()[:200])
    size = (6, 8) if "damaged" in reason else (8, 6)
    background = Background(size, (0.5, 0.25))
    StoredBackground(path, background)
    assert background.state().looks == 0
    assert f"background.npz is left out, as {reason}: a new background begins" in caplog.text


def test_the_example_file_of_cameras_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOOR_PASSWORD", "secret")
    path = ROOT / "examples" / "cameras.yaml"
    cameras = read_cameras(path, composed("watch", f"cameras={path}"))
    assert list(cameras) == ["door", "yard", "gate"]
    assert cameras["door"].source == "rtsp://admin:secret@10.0.0.7/stream1"
