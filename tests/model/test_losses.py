"""The losses against torch's and torchmetrics' own, and by hand."""

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torchmetrics.image import MultiScaleStructuralSimilarityIndexMeasure

from memguard.model.losses import (
    compactness_loss,
    gradient_difference_loss,
    ms_ssim_loss,
    nearest_items,
    pixel_loss,
    separateness_loss,
)


def test_by_hand() -> None:
    query = torch.tensor([[[0.6, 0.8], [1.0, 0.0]]])
    items = torch.eye(2)
    # Squared distances to the nearest item: 0.36 + 0.04 and 0, over four values.
    assert float(compactness_loss(query, items)) == pytest.approx(0.1)
    first = math.sqrt(0.4) - math.sqrt(0.16 + 0.64) + 1
    second = max(0 - math.sqrt(2) + 1, 0)
    assert float(separateness_loss(query, items)) == pytest.approx((first + second) / 2, abs=1e-5)


def test_against_torch() -> None:
    torch.manual_seed(0)
    query = F.normalize(torch.randn(2, 9, 5), dim=-1)
    items = F.normalize(torch.rand(4, 5), dim=-1)
    order = (query @ items.T).argsort(dim=-1, descending=True)
    positive, negative = items[order[..., 0]], items[order[..., 1]]
    assert torch.equal(compactness_loss(query, items), torch.nn.MSELoss()(query, positive))
    triplet = torch.nn.TripletMarginLoss(margin=0.3)(query, positive, negative)
    assert torch.equal(separateness_loss(query, items, margin=0.3), triplet)


def test_only_queries_take_a_gradient() -> None:
    query = F.normalize(torch.randn(1, 4, 3), dim=-1).requires_grad_()
    items = F.normalize(torch.rand(3, 3), dim=-1).requires_grad_()
    (compactness_loss(query, items) + separateness_loss(query, items)).backward()
    assert query.grad is not None
    assert query.grad.abs().sum() > 0
    assert items.grad is None


def test_a_memory_per_row() -> None:
    torch.manual_seed(1)
    query = F.normalize(torch.randn(2, 6, 3), dim=-1)
    items = F.normalize(torch.rand(2, 4, 3), dim=-1)
    together = nearest_items(query, items, 2)
    for row in range(2):
        alone = nearest_items(query[row : row + 1], items[row], 2)
        assert torch.equal(together[row], alone[0])


def test_losses_use_a_given_similarity() -> None:
    torch.manual_seed(2)
    query = F.normalize(torch.randn(2, 6, 3), dim=-1)
    items = F.normalize(torch.rand(4, 3), dim=-1)
    known, other = query @ items.T, -query @ items.T
    assert compactness_loss(query, items, known) == compactness_loss(query, items)
    assert separateness_loss(query, items, 1.0, known) == separateness_loss(query, items)
    assert compactness_loss(query, items, other) > compactness_loss(query, items)
    assert separateness_loss(query, items, 1.0, other) != separateness_loss(query, items)


@pytest.mark.parametrize(("alpha", "expected"), [(1, 2 / 3 + 4 / 4), (2, 4 / 3 + 6 / 4)])
def test_the_gradient_difference_by_hand(alpha: float, expected: float) -> None:
    target = torch.tensor([[0.0, 2.0, 2.0], [0.0, 0.0, 1.0]])
    prediction = torch.tensor([[0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    # Edges down the columns: 0 2 1 against 0 0 1, which differ by 0 2 0. Edges along the rows:
    # 2 0 and 0 1 against 0 1 and 0 0, which differ by 2 1 and 0 1.
    found = gradient_difference_loss(prediction[None, None], target[None, None], alpha)
    assert float(found) == pytest.approx(expected)
    # The sign of an edge does not count.
    assert gradient_difference_loss(-target[None, None], target[None, None], alpha) == 0


def test_the_gradient_difference_refuses_an_exponent_without_a_gradient() -> None:
    with pytest.raises(ValueError, match=r"^alpha=0\.5 .* set it to 1 or more"):
        gradient_difference_loss(torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4), alpha=0.5)


def frames(height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(3)
    target = torch.rand(2, 3, height, width) * 2 - 1
    return (0.7 * target + 0.2 * torch.randn_like(target)).clamp(-1, 1), target


def test_the_structural_similarity_is_that_of_frames_from_0_to_1() -> None:
    prediction, target = frames(176, 192)
    measure = MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0, normalize="simple")
    expected = 1 - measure((prediction + 1) / 2, (target + 1) / 2)
    assert float(ms_ssim_loss(prediction, target)) == pytest.approx(float(expected), abs=1e-6)
    assert float(ms_ssim_loss(target, target)) == pytest.approx(0, abs=1e-6)
    assert ms_ssim_loss(prediction, target) < ms_ssim_loss(-target, target)


def test_an_opposite_frame_has_a_finite_gradient() -> None:
    _, target = frames(48, 48)
    prediction = (-target).requires_grad_()
    ms_ssim_loss(prediction, target, scales=3).backward()
    assert prediction.grad is not None
    assert prediction.grad.isfinite().all()
    assert prediction.grad.abs().sum() > 0


@pytest.mark.parametrize(("scales", "smallest"), [(5, 176), (4, 99), (3, 44), (2, 22), (1, 11)])
def test_the_structural_similarity_names_the_smallest_frame(scales: int, smallest: int) -> None:
    ms_ssim_loss(*frames(smallest, smallest + 8), scales=scales)
    sentence = rf"^scales={scales} .* need frames of {smallest} pixels or more, .*fewer scales"
    with pytest.raises(ValueError, match=sentence):
        ms_ssim_loss(*frames(smallest + 8, smallest - 1), scales=scales)


@pytest.mark.parametrize("scales", [0, 6])
def test_the_structural_similarity_has_one_to_five_scales(scales: int) -> None:
    with pytest.raises(ValueError, match=rf"^scales={scales} must be from 1 to 5"):
        ms_ssim_loss(*frames(176, 176), scales=scales)


@pytest.mark.parametrize("loss", [pixel_loss, gradient_difference_loss, ms_ssim_loss])
def test_losses_of_frames_do_not_broadcast(loss: Callable[..., torch.Tensor]) -> None:
    with pytest.raises(ValueError, match=r"^prediction must have the shape"):
        loss(torch.zeros(2, 1, 176, 176), torch.zeros(2, 3, 176, 176))
