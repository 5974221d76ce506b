"""The annotated video of a stream."""

from pathlib import Path

import numpy as np

from memguard.detection.events import Moment, ScoredPicture
from memguard.live.annotate import SMALLEST_WIDTH, AnnotatedVideo

YELLOW = (240, 228, 66)


def drawn(tmp_path: Path, score: float) -> np.ndarray:
    """A black picture as the video shows it, three times as large: uint8 (H, W, 3)."""
    video = AnnotatedVideo(tmp_path / "annotated.mp4", fps=10, level=2, error=0.01)
    scored = ScoredPicture(
        Moment(7, 0.7), score=score, psnr=30, distance=0.1, regular=0.1, written=False,
        box=(40, 25, 90, 70), rgb=np.zeros((3, 120, 160), np.uint8),
        error=np.zeros((8, 8), np.float32),
    )  # fmt: skip
    video.add(scored)
    image = np.asarray(video._drawn(scored))
    video.close()
    return image


def test_the_box_of_an_alarm_ends_with_the_last_pixels_of_its_patch(tmp_path: Path) -> None:
    image = drawn(tmp_path, score=2.5)
    scale = SMALLEST_WIDTH // 160
    rows, columns = np.nonzero((image == YELLOW).all(axis=2))
    # A black pixel outside keeps the line visible on bright ground.
    assert (columns.min(), columns.max()) == (40 * scale + 1, 90 * scale - 2)
    assert (rows.min(), rows.max()) == (25 * scale + 1, 70 * scale - 2)


def test_without_an_alarm_there_is_no_box(tmp_path: Path) -> None:
    assert not (drawn(tmp_path, score=2) == YELLOW).all(axis=2).any()
