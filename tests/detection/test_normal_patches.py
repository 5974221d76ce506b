"""The patch errors of normal video, by one process and by several."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from memguard.detection import normal_patches
from memguard.detection.normal_patches import NormalPatches
from memguard.scoring import smooth_over_time, worst_patch

# Two videos, and a gap in the second: stretches of 13, 7 and 20 frames.
PLACES = [*((0, n) for n in range(4, 17)), *((1, n) for n in range(7)),
          *((1, n) for n in range(30, 50))]  # fmt: skip
ERRORS = torch.rand(len(PLACES), 2, 2, 3, generator=torch.Generator().manual_seed(0))
SIGMA = 1.25  # it reaches over five frames


def added(numbers: Sequence[int], batch: int) -> NormalPatches:
    """Add the frames of these numbers, in batches."""
    patches = NormalPatches(SIGMA)
    places = torch.tensor(PLACES)
    for part in torch.tensor(numbers).split(batch):
        patches.add(places[part, 0], places[part, 1], ERRORS[part])
    return patches


def expected() -> list[Tensor]:
    parts = ERRORS.split([13, 7, 20])
    return [worst_patch(smooth_over_time(part, SIGMA, causal=True)) for part in parts]


@pytest.mark.parametrize("batch", [1, 4, 16, 40])
def test_each_stretch_is_smoothed_over_its_own_past(batch: int) -> None:
    torch.testing.assert_close(added(range(40), batch).stretches(), expected())


@pytest.mark.parametrize(
    "shares",
    [
        [range(16), range(16, 40)],
        [range(8), range(8, 11), range(11, 12), range(12, 40)],
        [range(32), range(32, 40), [*range(32, 40), *range(32, 40)]],  # the last batch is repeated
    ],
)
def test_processes_that_share_a_stretch_smooth_it_as_one_does(
    shares: Sequence[Sequence[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = [added(share, batch=4) for share in shares]
    given: list[object] = []

    def keep(own: object) -> list[object]:
        given.append(own)
        return [own]

    monkeypatch.setattr(normal_patches, "gathered_everywhere", keep)
    for each in processes:
        each.stretches()
    monkeypatch.setattr(normal_patches, "gathered_everywhere", lambda own: given)
    torch.testing.assert_close(processes[0].stretches(), expected())


def test_errors_of_few_frames_are_stored() -> None:
    patches = added(range(40), batch=4)
    assert len(patches._first) == len(patches._last) == 5
