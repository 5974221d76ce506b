"""Pixel AUROC: exact on all pixels, and by a histogram within its bound."""

from collections.abc import Callable
from pathlib import Path
from warnings import catch_warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy.stats import mannwhitneyu
from torchmetrics.functional.classification import binary_auroc

from memguard.scoring.pixels import BINS, PixelAUROC, pixel_auroc

SHAPE = (5, 60, 80)


def skewed(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores as squared errors are distributed, and masks of 4 % of the pixels."""
    rng = np.random.default_rng(7)
    mask = rng.random(SHAPE) < 0.04
    draw: dict[str, Callable[[], np.ndarray]] = {
        "of noise": lambda: rng.normal(0, 0.02, SHAPE) ** 2,
        "over nine powers of ten": lambda: 10.0 ** rng.uniform(-9, 0, SHAPE),
        "near one": lambda: 1 - rng.random(SHAPE) / 50,
        "of 8-bit levels": lambda: (rng.integers(-40, 40, SHAPE) / 255) ** 2,
        "mostly none": lambda: rng.exponential(1e-3, SHAPE) * (rng.random(SHAPE) < 0.2),
    }
    score = (draw[name]() * np.where(mask, rng.choice([0.5, 8], SHAPE), 1)).clip(0, 1)
    return torch.tensor(score, dtype=torch.float32), torch.tensor(mask)


DISTRIBUTIONS = pytest.mark.parametrize(
    "name",
    ["of noise", "over nine powers of ten", "near one", "of 8-bit levels", "mostly none"],
)


@DISTRIBUTIONS
def test_the_exact_area_is_the_chance_that_an_anomalous_pixel_scores_higher(name: str) -> None:
    score, mask = skewed(name)
    u = mannwhitneyu(score[mask].double(), score[~mask].double()).statistic
    expected = u / (int(mask.sum()) * int((~mask).sum()))
    assert pixel_auroc(score, mask) == pytest.approx(expected, abs=1e-12)


@DISTRIBUTIONS
def test_the_histogram_is_within_a_ten_thousandth_of_the_exact_area(name: str) -> None:
    score, mask = skewed(name)
    metric = PixelAUROC()
    for frames, masks in zip(score.split(2), mask.split(2), strict=True):
        metric.update(frames, masks)
    exact = float(binary_auroc(score.double().flatten(), mask.long().flatten()))
    assert float(metric.compute()) == pytest.approx(exact, abs=1e-4)
    assert abs(float(metric.compute()) - pixel_auroc(score, mask)) <= metric.error_bound() + 1e-12


# Scores in one bin; each is a number of 32 bits.
CROWDED = st.integers(0, 99).map(lambda step: 0.25 * (1 + step * 2**-22))


@pytest.mark.filterwarnings("ignore:The pixel AUROC can be off")
@given(
    npst.arrays(np.float32, (2, 3, 4), elements=st.floats(0, 1, width=32) | CROWDED),
    npst.arrays(bool, (2, 3, 4)),
)
def test_the_error_is_within_its_bound(score: np.ndarray, mask: np.ndarray) -> None:
    if not 0 < mask.sum() < mask.size:
        return
    metric = PixelAUROC()
    metric.update(torch.tensor(score), torch.tensor(mask))
    exact = pixel_auroc(torch.tensor(score), torch.tensor(mask))
    assert abs(float(metric.compute()) - exact) <= metric.error_bound() + 1e-12


def test_pixels_in_one_bin_count_half_and_others_by_order() -> None:
    metric = PixelAUROC()
    alike, others = [0.25, 0.25 * (1 + 2**-17)], [0.25 * (1 + 2**-14), 0.0]
    metric.update(torch.tensor([[alike + others]]), torch.tensor([[[0, 1, 1, 0]]]))
    assert float(metric.compute()) == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert metric.error_bound() == pytest.approx(1 / 8)


def test_the_smallest_and_the_largest_errors_have_bins() -> None:
    metric = PixelAUROC()
    metric.update(torch.tensor([[[0.0, 1e-45, 2.0**-32, 1.0]]]), torch.tensor([[[0, 0, 0, 1]]]))
    places = metric.counts.nonzero().tolist()
    assert places == [[0, 0], [0, 1], [1, BINS - 1]]
    assert metric.counts[0, :2].tolist() == [1, 2]
    metric.update(torch.tensor([[[1 - 2.0**-24]]]), torch.tensor([[[0]]]))
    assert metric.counts[0, BINS - 2] == 1


def hard(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Scores that crowd in one bin, where the anomalous ones are the higher."""
    rng = np.random.default_rng(3)
    mask = rng.random(SHAPE) < 0.3
    crowded = 0.25 * (1 + (rng.random(SHAPE) + mask) * 2**-17)
    tail = 10.0 ** -rng.exponential(2, SHAPE).clip(0, 9)
    share = {"all within a tiny interval": 1.0, "heavy tails around it": 0.2}[name]
    score = np.where(rng.random(SHAPE) < share, crowded, tail)
    return torch.tensor(score, dtype=torch.float32), torch.tensor(mask)


@pytest.mark.parametrize("name", ["all within a tiny interval", "heavy tails around it"])
def test_a_bound_above_a_ten_thousandth_is_said_with_the_area(name: str) -> None:
    score, mask = hard(name)
    metric = PixelAUROC()
    metric.update(score, mask)
    bound = metric.error_bound()
    with pytest.warns(UserWarning, match=f"can be off by {bound:.1g}: many pixels"):
        area = float(metric.compute())
    assert 1e-4 < abs(area - pixel_auroc(score, mask)) <= bound


def test_pixels_without_any_error_are_counted_exactly() -> None:
    score, mask = skewed("of noise")
    score[:, 10:] = 0
    metric = PixelAUROC()
    metric.update(score, mask)
    with catch_warnings(action="error"):
        area = float(metric.compute())
    assert area == pytest.approx(pixel_auroc(score, mask), abs=1e-4)


@pytest.mark.parametrize("mask", [0, 1])
def test_one_class_alone_gives_nan(mask: int) -> None:
    metric = PixelAUROC()
    metric.update(torch.rand(1, 4, 4), torch.full((1, 4, 4), mask))
    assert torch.isnan(metric.compute())


@pytest.mark.parametrize("score", [-0.1, 1.1, torch.nan, torch.inf])
def test_scores_outside_0_to_1_are_rejected(score: float) -> None:
    with pytest.raises(ValueError, match=r"score must be in \[0, 1\]"):
        PixelAUROC().update(torch.full((1, 2, 2), score), torch.ones(1, 2, 2))


def test_a_mask_of_another_size_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"mask must have the shape \(N, H, W\) with"):
        PixelAUROC().update(torch.zeros(1, 4, 6), torch.zeros(1, 6, 4))


def _measure_in_group(rank: int, store: str, results: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=2
    )
    score, mask = skewed("of noise")
    own = slice(0, 3) if rank == 0 else slice(3, None)
    metric = PixelAUROC()
    metric.update(score[own], mask[own])
    torch.save(metric.compute(), f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_two_processes_measure_what_one_would(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_measure_in_group, (str(tmp_path / "store"), str(tmp_path)), 2)
    metric = PixelAUROC()
    metric.update(*skewed("of noise"))
    for rank in range(2):
        assert torch.equal(torch.load(tmp_path / f"{rank}.pt"), metric.compute())
