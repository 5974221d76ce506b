"""The guard: what it writes, and what it leaves alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.guard import MemoryGuard
from memguard.model.memory import write


@pytest.fixture
def items() -> Tensor:
    torch.manual_seed(0)
    return F.normalize(torch.rand(4, 6), dim=1)


@pytest.fixture
def queries() -> Tensor:
    torch.manual_seed(1)
    return F.normalize(torch.randn(5, 9, 6), dim=-1)


def guard(**settings: object) -> MemoryGuard:
    defaults = {"threshold": 0.5, "quantile": 0.5, "scope": "dataset", "enabled": True}
    return MemoryGuard(**(defaults | settings))  # type: ignore[arg-type]


def test_writes_exactly_the_frames_below_the_threshold_in_order(
    items: Tensor, queries: Tensor
) -> None:
    trained = items.clone()
    under_test = guard()
    under_test.begin(items)
    scores = torch.tensor([0.4, 0.5, 0.1, 0.9, 0.49])
    written = [under_test.observe(s, q) for s, q in zip(scores, queries, strict=True)]
    assert written == [True, False, True, False, True]
    expected = write(queries[4], write(queries[2], write(queries[0], trained)))
    assert torch.equal(under_test.items, expected)
    assert torch.equal(items, trained)


def test_scope_dataset_carries_items_over_and_scope_video_does_not(
    items: Tensor, queries: Tensor
) -> None:
    for scope, kept in (("dataset", True), ("video", False)):
        under_test = guard(scope=scope)
        under_test.begin(items)
        under_test.observe(torch.tensor(0.1), queries[0])
        after_first = under_test.items
        under_test.begin_video()
        assert torch.equal(under_test.items, after_first if kept else items)


def test_disabled_it_writes_nothing(items: Tensor, queries: Tensor) -> None:
    under_test = guard(enabled=False)
    under_test.begin(items)
    assert not under_test.observe(torch.tensor(0.0), queries[0])
    assert torch.equal(under_test.items, items)


def test_auto_takes_the_quantile_of_normal_scores() -> None:
    under_test = guard(threshold="auto", quantile=0.25)
    assert under_test.threshold != under_test.threshold  # NaN: nothing is known yet
    under_test.calibrate(torch.linspace(0, 1, 401)[torch.randperm(401)])
    assert under_test.threshold == pytest.approx(0.25)


def test_what_auto_learned_travels_with_the_checkpoint() -> None:
    first, second = guard(threshold="auto"), guard(threshold="auto")
    first.calibrate(torch.tensor([0.1, 0.2, 0.4]))
    second.load_state_dict(first.state_dict())
    assert second.threshold == first.threshold == pytest.approx(0.2)
