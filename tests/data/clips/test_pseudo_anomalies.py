"""Pseudo-anomalies: their windows and their number."""

import numpy as np
import torch
from torch import Tensor

from memguard.data.clips.pseudo_anomalies import backwards, frozen, pasted, pseudo_sample
from memguard.data.clips.segments import Segment


class Counting:
    """A video whose frames show their own number all over."""

    def __init__(self, frames: int, size: int = 16) -> None:
        self._frames = torch.arange(frames, dtype=torch.uint8).view(-1, 1, 1, 1)
        self._frames = self._frames.expand(-1, 1, size, size)

    def __len__(self) -> int:
        return len(self._frames)

    def frames(self, indices: range) -> Tensor:
        assert 0 <= indices.start < indices.stop <= len(self)
        return self._frames[indices.start : indices.stop]


def numbers(windows: Tensor) -> list[list[int]]:
    return windows[..., 0, 0, 0].tolist()


def held_out(*lengths: int) -> list[Segment]:
    """The last so many frames of videos of 40."""
    return [Segment(Counting(40), n, range(40 - length, 40)) for n, length in enumerate(lengths)]


def test_time_is_changed_as_said() -> None:
    window = Counting(5).frames(range(5))
    assert numbers(backwards(window)[None]) == [[4, 3, 2, 1, 0]]
    assert numbers(frozen(window)[None]) == [[0, 1, 2, 2, 4]]
    assert numbers(window[None]) == [[0, 1, 2, 3, 4]]


def test_a_patch_lies_on_its_path_and_nothing_else_changes() -> None:
    window = Counting(2).frames(range(2))
    made = pasted(
        window, torch.full((1, 2, 3), 99, dtype=torch.uint8), np.array([[0, 0], [14, 13]])
    )
    places = (made == 99).nonzero().tolist()
    assert {(frame, row, column) for frame, _, row, column in places} == {
        *((0, row, column) for row in range(2) for column in range(3)),
        *((1, row, column) for row in range(14, 16) for column in range(13, 16)),
    }
    assert numbers(window[None]) == [[0, 1]]  # the original is left alone


def test_fast_windows_stay_within_the_held_out_frames_and_take_speeds_that_fit() -> None:
    sample = pseudo_sample(held_out(8, 9, 13), length=5, count=6)
    assert sample
    steps = [np.diff(window).tolist() for window in numbers(sample.anomalous["fast"])]
    assert steps == [
        [2] * 4,
        [2] * 4,
        [3] * 4,
    ]  # of 13 frames 2 windows; 17 for speed 4 are not there
    assert min(numbers(sample.anomalous["fast"])[-1]) == 27


def test_windows_that_do_not_fit_are_left_out() -> None:
    short = pseudo_sample(held_out(6, 6), length=5, count=48)
    assert short
    assert len(short.normal) == 4
    assert set(short.anomalous) == {"pasted", "backwards", "frozen"}
    single = pseudo_sample(held_out(6), length=1, count=48)
    assert single
    assert set(single.anomalous) == {"pasted"}
    assert pseudo_sample([], length=5, count=48) is None
    assert pseudo_sample(held_out(4), length=5, count=48) is None


def test_of_three_frames_time_can_be_changed_and_of_two_it_cannot() -> None:
    for length, kinds in ((3, {"pasted", "backwards", "frozen", "fast"}), (2, {"pasted"})):
        sample = pseudo_sample(held_out(20), length=length, count=6)
        assert sample
        assert set(sample.anomalous) == kinds


def test_the_sample_is_bounded_spread_and_always_the_same() -> None:
    one, other = (pseudo_sample(held_out(30, 30), length=5, count=6) for _ in range(2))
    assert one
    assert other
    assert len(one.normal) == 6
    assert all(len(windows) <= 6 for windows in one.anomalous.values())
    assert numbers(one.normal)[0][0] == 10  # the first window of the first stretch
    assert numbers(one.normal)[-1][-1] == 39  # the last of the last
    assert all(torch.equal(one.anomalous[kind], other.anomalous[kind]) for kind in one.anomalous)


def test_a_pasted_patch_moves_within_the_picture() -> None:
    sample = pseudo_sample([Segment(Counting(40, size=64), 0, range(10, 40))], length=5, count=10)
    assert sample
    for window, made in zip(sample.normal, sample.anomalous["pasted"], strict=True):
        changed = [(was != now).nonzero() for was, now in zip(window, made, strict=True)]
        areas = {len(pixels) for pixels in changed}
        assert len(areas) == 1  # all of it lies in each frame
        assert 0.15**2 * 64**2 <= min(areas) <= 20**2
        assert len({tuple(pixels[0].tolist()) for pixels in changed}) > 1
