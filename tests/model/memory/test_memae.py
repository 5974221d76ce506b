"""MemAE's memory against numbers worked out by hand, and the entropy that it is trained with."""

from math import exp, log

import pytest
import torch
import torch.nn.functional as F

from memguard.model.losses import entropy_loss
from memguard.model.memory.memae import MemAEMemory, recall, shrunk_attention


def test_shrinkage_by_hand() -> None:
    # The weights are 1/2, 1/4, 1/8, 1/8. Hard shrinkage leaves w where w > s, not w − s.
    similarity = torch.tensor([log(4.0), log(2.0), 0.0, 0.0])
    whole = torch.tensor([1 / 2, 1 / 4, 1 / 8, 1 / 8])
    assert torch.allclose(shrunk_attention(similarity, shrinkage=0), whole)
    above_an_eighth = torch.tensor([2 / 3, 1 / 3, 0, 0])
    assert torch.allclose(shrunk_attention(similarity, shrinkage=0.6), above_an_eighth)
    above_a_quarter = torch.tensor([1.0, 0, 0, 0])
    assert torch.allclose(shrunk_attention(similarity, shrinkage=1.2), above_a_quarter)
    assert not shrunk_attention(similarity, shrinkage=2.4).any()  # nothing is above 0.6


def test_a_recall_is_of_the_items_alone() -> None:
    features = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)  # the query is (0.6, 0.8)
    items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # cosines 0.6, 0.8, −0.8
    weights = [exp(0.6), exp(0.8), exp(-0.8)]
    assert weights[2] / sum(weights) < 1 / 3 < weights[0] / sum(weights)  # one is left out
    first = weights[0] / (weights[0] + weights[1])
    result = recall(features, items, shrinkage=1)
    assert torch.allclose(result.fused.flatten(), torch.tensor([0, 0, first, 1 - first]))
    assert torch.allclose(result.recalled, torch.tensor([[[first, 1 - first]]]))
    assert torch.allclose(result.query, torch.tensor([[[0.6, 0.8]]]))
    assert torch.allclose(result.similarity, torch.tensor([[[0.6, 0.8, -0.8]]]))
    assert torch.allclose(result.attention, torch.tensor([[[first, 1 - first, 0.0]]]))


def test_the_entropy_is_summed_over_items_and_averaged_over_queries() -> None:
    attention = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 1.0, 0.0]], [[0.25, 0.75, 0.0]] * 2])
    expected = (log(2) + 0 + 2 * (0.25 * log(4) + 0.75 * log(4 / 3))) / 4
    assert float(entropy_loss(attention)) == pytest.approx(expected)


def test_the_gradient_reaches_items_that_are_read_and_is_finite() -> None:
    torch.manual_seed(0)
    memory = MemAEMemory(size=20, dim=6, shrinkage=1)
    features = torch.randn(2, 6, 1, 1, requires_grad=True)
    result = memory(features)
    (result.fused.square().sum() + entropy_loss(result.attention)).backward()
    gradient = memory.directions.grad
    assert gradient is not None
    assert gradient.isfinite().all()
    read = result.attention.flatten(0, 1).any(dim=0)
    assert 0 < read.sum() < 20
    assert gradient[read].any(dim=1).all()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert features.grad.any()


def test_items_have_length_1_whatever_the_optimizer_does() -> None:
    memory = MemAEMemory(size=5, dim=4, shrinkage=1)
    with torch.no_grad():
        memory.directions.mul_(torch.arange(1.0, 6.0).unsqueeze(1))
    assert torch.allclose(memory.items.norm(dim=1), torch.ones(5))
    assert torch.allclose(memory.items, F.normalize(memory.directions, dim=1))


@pytest.mark.parametrize(
    ("wrong", "sentence"), [({"size": 0}, "size=0"), ({"shrinkage": -1.0}, "shrinkage=-1.0")]
)
def test_impossible_values_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"^{sentence} must be at least"):
        MemAEMemory(**({"size": 4, "dim": 6, "shrinkage": 1} | wrong))  # type: ignore[arg-type]
