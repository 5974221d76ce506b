"""Regions: which places of a frame they are, their boxes and their scores."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from memguard import scoring

PATCH, FRAME = (0.1, 0.05), (40, 80)  # 4 by 4 pixels, a pixel apart: 37 by 77 places


def errors_of(*objects: tuple[int, int, int, int, float]) -> Tensor:
    """Patch errors of a frame with objects: left, top, right, bottom and difference."""
    output = torch.zeros(1, 1, *FRAME)
    for left, top, right, bottom, difference in objects:
        output[..., top:bottom, left:right] = 2 * difference
    return scoring.patch_error(output, torch.zeros_like(output), PATCH)


def regions_of(errors: Tensor, smoothed: Tensor | None = None) -> list[list[float]]:
    found = scoring.find_regions(errors, errors if smoothed is None else smoothed, PATCH, FRAME)
    return found[0][~found[0, :, 4].isnan()].tolist()


def test_each_object_has_a_box_and_the_score_of_its_worst_patch() -> None:
    walker, cart = (10, 8, 16, 20, 0.3), (50, 22, 62, 30, 0.5)
    (first, second) = regions_of(errors_of(walker, cart))
    for found, (left, top, right, bottom, difference) in ((first, cart), (second, walker)):
        for side, expected in zip(found, (left, top, right, bottom), strict=False):
            assert abs(side - expected) <= 0.5
        assert abs(found[4] - difference**2) < 1e-6


def test_an_object_smaller_than_a_patch_has_a_box_of_a_patch() -> None:
    ((left, top, right, bottom, score),) = regions_of(errors_of((30, 20, 31, 21, 0.4)))
    assert (right - left, bottom - top) == (4, 4)
    assert left <= 30 < 31 <= right
    assert top <= 20 < 21 <= bottom
    assert abs(score - 0.4**2 / 16) < 1e-6


def test_objects_in_two_corners_reach_the_edges_of_the_frame() -> None:
    first, second = sorted(regions_of(errors_of((0, 0, 5, 6, 0.3), (75, 34, 80, 40, 0.2))))
    assert first[:2] == [0, 0]
    assert second[2:4] == [80, 40]


def test_the_edge_of_an_object_is_no_region_of_its_own() -> None:
    assert len(regions_of(errors_of((20, 10, 32, 22, 0.5)))) == 1


def test_five_regions_of_a_frame_are_the_most() -> None:
    many = [(left, 10, left + 5, 16, 0.1 + left / 200) for left in range(0, 80, 11)]
    found = regions_of(errors_of(*many))
    assert len(found) == 5
    assert [row[4] for row in found] == sorted((row[4] for row in found), reverse=True)
    assert min(row[0] for row in found) > 20  # the weakest are left out


def test_a_frame_without_error_has_no_region() -> None:
    assert regions_of(errors_of()) == []


def test_smoothed_errors_give_the_score_and_own_errors_the_box() -> None:
    before, now = errors_of((20, 10, 28, 20, 0.4)), errors_of((23, 10, 31, 20, 0.4))
    flash = errors_of((23, 10, 31, 20, 0.4), (60, 20, 64, 24, 0.9))
    ((left, _top, right, _bottom, score), *others) = regions_of(flash, (before + now) / 2)
    assert abs(left - 23) <= 1
    assert abs(right - 31) <= 1
    assert abs(score - 0.4**2) < 1e-6
    assert not others  # an error that does not last is none


@given(st.integers(0, 2**32 - 1))
def test_boxes_lie_within_the_frame_and_hold_a_patch(seed: int) -> None:
    noise = torch.rand(3, 37, 77, generator=torch.Generator().manual_seed(seed))
    found = scoring.find_regions(noise, noise, PATCH, FRAME)
    left, top, right, bottom, score = found[~found[:, :, 4].isnan()].unbind(dim=1)
    assert bool((left >= 0).all() and (top >= 0).all())
    assert bool((right <= 80).all() and (bottom <= 40).all())
    assert bool((right - left >= 2).all() and (bottom - top >= 2).all())
    assert bool((score[:1] == noise[0].max()).all())
