"""Patch errors, their boxes, and the patch that decides a score."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memguard import scoring


def test_patch_error_by_hand() -> None:
    output, target = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    output[0, 0, :2, :2] = 2.0  # error 1 in one of two channels of the corner
    errors = scoring.patch_error(output, target, (0.5, 0.5))
    assert errors[0].tolist() == [[0.5, 0.25, 0], [0.25, 0.125, 0], [0, 0, 0]]


def test_a_patch_as_large_as_the_picture_has_its_mean_error() -> None:
    output, target = torch.rand(3, 3, 16, 24), torch.rand(3, 3, 16, 24)
    mean = scoring.squared_error(output, target).flatten(1).mean(dim=1)
    assert torch.allclose(scoring.patch_error(output, target, (1, 1)).flatten(), mean)


def test_a_patch_is_never_smaller_than_a_pixel() -> None:
    output, target = torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)
    errors = scoring.patch_error(output, target, (0.001, 0.001))
    assert torch.equal(errors, scoring.squared_error(output, target)[:, 0])


def test_a_patchs_box_holds_the_pixels_that_it_averages() -> None:
    output = torch.zeros(1, 1, 64, 64)
    output[..., 40:44, 10:12] = 1
    errors = scoring.patch_error(output, torch.zeros_like(output), (0.2, 0.1))[0]
    place = divmod(int(errors.argmax()), errors.shape[1])
    left, top, right, bottom = scoring.patch_box(*place, (0.2, 0.1), (64, 64), (480, 640))
    assert left <= 100 < 120 <= right
    assert top <= 300 < 330 <= bottom
    # 6 and 13 pixels of the network's
    assert (right - left, bottom - top) == (60, pytest.approx(97.5, abs=1))


def test_the_box_is_at_the_patch_that_decides_the_smoothed_score() -> None:
    # A patch is 4 by 4 pixels of 12 by 20, the next one a pixel further: 9 by 17 patches.
    errors = torch.zeros(2, 9, 17)
    errors[0, 1, 2], errors[1, 1, 4] = 8, 7  # an object that moves to the right, upper left
    errors[1, 6, 15] = 9  # a flash in the second frame, lower right
    smoothed = torch.zeros(2, 9, 17)
    smoothed[:, 1, 2] = 8  # it trails behind
    smoothed[1, 6, 15] = 5
    places = scoring.worst_places(errors, smoothed, (1 / 3, 0.2), (12, 20))
    assert places.tolist() == [[1, 2], [1, 4]]
    alone = scoring.worst_places(errors, errors, (1 / 3, 0.2), (12, 20))
    assert alone.tolist() == [[1, 2], [6, 15]]


@pytest.mark.parametrize(("aside", "expected"), [(3, [[2, 8]]), (4, [[2, 5]])])
def test_a_patch_beside_the_smoothed_one_counts_if_they_share_a_pixel(
    aside: int, expected: list[list[int]]
) -> None:
    errors = torch.zeros(1, 9, 17)
    errors[0, 2, 5], errors[0, 2, 5 + aside] = 1, 9
    smoothed = torch.zeros(1, 9, 17)
    smoothed[0, 2, 5] = 1
    places = scoring.worst_places(errors, smoothed, (1 / 3, 0.2), (12, 20))
    assert places.tolist() == expected


def test_patches_overlap_by_three_quarters() -> None:
    frame = torch.zeros(1, 1, 16, 32)
    assert scoring.patch_error(frame, frame, (0.5, 0.25)).shape == (1, 5, 13)


def test_each_size_has_its_own_map_and_zeros_beyond_it() -> None:
    output, target = torch.rand(2, 3, 16, 32), torch.rand(2, 3, 16, 32)
    small, large = (0.125, 0.125), (0.5, 0.25)
    errors = scoring.patch_errors(output, target, [small, large])
    own = scoring.patch_error(output, target, large)
    assert torch.equal(errors[:, 0], scoring.patch_error(output, target, small))
    assert torch.equal(errors[:, 1, : own.shape[1], : own.shape[2]], own)
    assert errors[:, 1, own.shape[1] :].count_nonzero() == 0
    assert errors[:, 1, :, own.shape[2] :].count_nonzero() == 0


def test_the_worst_patches_of_all_sizes_are_joined_by_hand() -> None:
    errors = torch.zeros(2, 3, 2, 2)
    errors[0, 0, 0, 1], errors[0, 1, 1, 0], errors[0, 2, 1, 1] = 0.4, 0.1, 0.2
    errors[1, 0, 0, 0], errors[1, 1, 0, 0] = 0.9, 0.9  # no error of the third size
    assert scoring.worst_patch(errors).tolist() == pytest.approx([(0.4 * 0.1 * 0.2) ** (1 / 3), 0])


@given(st.lists(st.floats(1e-9, 1.0), min_size=6, max_size=6))
def test_one_size_keeps_its_errors_to_the_last_bit(values: list[float]) -> None:
    errors = torch.tensor(values).view(2, 1, 1, 3)
    assert torch.equal(scoring.worst_patch(errors), errors.flatten(1).amax(dim=1))
    places = scoring.errors_of_places(errors, [(1, 1 / 3)], frame=(1, 3))
    assert torch.equal(places, errors[:, 0])


@given(st.floats(0.1, 10), st.integers(0, 2))
def test_a_factor_counts_alike_in_each_size(factor: float, size: int) -> None:
    errors = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1)
    changed = errors.clone()
    changed[0, size] *= factor
    ratio = scoring.worst_patch(changed) / scoring.worst_patch(errors)
    assert float(ratio) == pytest.approx(factor ** (1 / 3), rel=1e-5)


def test_a_place_has_the_patches_around_its_centre() -> None:
    output = torch.zeros(1, 1, 24, 48)
    output[..., 14:18, 30:36] = 0.6  # on its own in the right half
    sizes = [(1 / 6, 1 / 8), (1 / 3, 0.25)]  # 4 by 6 and 8 by 12 pixels, 1 and 2, 2 and 3 apart
    errors = scoring.patch_errors(output, torch.zeros_like(output), sizes)
    places = scoring.errors_of_places(errors, sizes, (24, 48))
    assert places.shape == (1, 21, 43)
    assert divmod(int(places.argmax()), 43) == (14, 30)
    # the whole object in the small patch, in a quarter of the large one
    assert float(places.max()) == pytest.approx(0.3**2 * (1 * 1 / 4) ** 0.5)
    assert places[0, 0, 0] == 0


@given(st.integers(1, 3), st.integers(8, 40), st.integers(8, 40), st.integers(0, 2**32 - 1))
def test_pooled_errors_of_pixels_are_the_patch_errors(
    frames: int, height: int, width: int, seed: int
) -> None:
    random = torch.Generator().manual_seed(seed)
    output, target = torch.rand(2, frames, 3, height, width, generator=random)
    sizes = [(0.2, 0.1), (0.5, 0.25), (0.3, 1)]
    error = scoring.squared_error(output, target).mean(dim=1).numpy()
    expected = scoring.patch_errors(output, target, sizes)
    np.testing.assert_allclose(scoring.pooled(error, sizes), expected, atol=1e-7)


def test_arrays_give_arrays_and_tensors_tensors() -> None:
    errors = np.random.default_rng(0).random((2, 2, 5, 7), np.float32)
    found = scoring.worst_patch(errors)
    assert isinstance(found, np.ndarray)
    assert torch.equal(scoring.worst_patch(torch.from_numpy(errors)), torch.from_numpy(found))
