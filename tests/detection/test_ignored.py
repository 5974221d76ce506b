"""Ignored places, from polygons and from masks."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from memguard.detection.ignored import ignored_places
from memguard.errors import ConfigError, DataError


def test_polygons_are_shares_of_width_and_height() -> None:
    upper_right = [[0.5, 0.0], [1.0, 0.0], [1.0, 0.5], [0.5, 0.5]]
    corner = [[0.0, 1.0], [0.0, 0.6], [0.2, 1.0]]
    found = ignored_places([upper_right, corner], (4, 8))
    assert found is not None
    assert found.astype(int).tolist() == [
        [0, 0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 1, 1, 1, 1],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0, 0, 0, 0, 0, 0, 0],
    ]


def test_a_mask_is_white_where_it_is_ignored(tmp_path: Path) -> None:
    mask = np.zeros((8, 4), np.uint8)
    mask[:4] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    found = ignored_places(str(tmp_path / "mask.png"), (4, 2))
    assert found is not None
    assert found.tolist() == [[True, True]] * 2 + [[False, False]] * 2


def test_places_that_leave_nothing_to_watch_are_refused(tmp_path: Path) -> None:
    left, right = ([[x, 0], [x + 0.5, 0], [x + 0.5, 1], [x, 1]] for x in (0, 0.5))
    with pytest.raises(ConfigError, match="ignored covers the whole picture"):
        ignored_places([left, right], (4, 8))
    assert ignored_places([left], (4, 8)) is not None
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"mask\.png: this mask ignores the whole picture"):
        ignored_places(str(tmp_path / "mask.png"), (4, 4))


def test_no_places_are_no_mask_and_a_bad_mask_is_named(tmp_path: Path) -> None:
    assert ignored_places([], (4, 4)) is None
    (tmp_path / "mask.png").write_text("white")
    with pytest.raises(DataError, match=r"mask\.png: this mask is no image"):
        ignored_places(str(tmp_path / "mask.png"), (4, 4))
    with pytest.raises(DataError, match=r"none\.png"):
        ignored_places(str(tmp_path / "none.png"), (4, 4))
