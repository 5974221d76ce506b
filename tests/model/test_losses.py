"""Both losses against torch's own, and by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from memguard.model.losses import compactness_loss, nearest_items, separateness_loss


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
