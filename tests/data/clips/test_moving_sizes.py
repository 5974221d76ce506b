"""The sizes of what moves in a video."""

import numpy as np
import pytest
import torch

from memguard.data.clips.moving_sizes import moving_parts, moving_sizes


class Film:
    """Squares that move to the right by 2 pixels a frame; the ground is noisy."""

    def __init__(self, frames: int, sizes: list[tuple[int, int]]) -> None:
        random = np.random.default_rng(0)
        self.pictures = random.integers(95, 105, (frames, 1, 256, 256)).astype(np.uint8)
        for number, picture in enumerate(self.pictures):
            for lane, (height, width) in enumerate(sizes):
                top, left = 10 + 60 * lane, 2 * number
                picture[0, top : top + height, left : left + width] = 220

    def __len__(self) -> int:
        return len(self.pictures)

    def frames(self, indices: range) -> torch.Tensor:
        return torch.from_numpy(self.pictures[list(indices)])


def test_percentiles_of_height_and_width_are_measured_by_themselves() -> None:
    sizes = moving_sizes([Film(60, [(20, 10), (20, 10), (40, 20), (50, 14)])])
    expected = torch.tensor([(20, 10), (42.5, 15.5), (50, 20)]) / 256
    assert torch.tensor(sizes).flatten().tolist() == pytest.approx(
        expected.flatten().tolist(), abs=4 / 256
    )


def test_what_stands_still_and_noise_have_no_size() -> None:
    assert moving_sizes([Film(60, [])]) == []
    still = Film(1, [(20, 10)])
    still.pictures = still.pictures.repeat(40, axis=0)
    assert moving_sizes([still]) == []


def test_videos_too_short_to_compare_are_left_out() -> None:
    assert moving_sizes([Film(2, [(20, 10)])]) == []
    assert len(moving_sizes([Film(17, [(20, 10)]), Film(1, [(90, 90)])])) == 3


def test_places_before_and_after_do_not_count() -> None:
    film = Film(60, [(24, 12)])
    before, now, after = (film.pictures[number, 0] for number in (10, 22, 34))
    ((height, width),) = moving_parts(before, now, after)
    assert (height * 256, width * 256) == (pytest.approx(24, abs=4), pytest.approx(12, abs=4))
