"""The guard: which frames pass, and which items they update."""

import re
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.detection.guard import MemoryGuard
from memguard.model.memory.memae import MemAEMemory
from memguard.model.memory.mnad import Memory, write


@pytest.fixture
def items() -> Tensor:
    torch.manual_seed(0)
    return F.normalize(torch.rand(4, 6), dim=1)


@pytest.fixture
def memory(items: Tensor) -> Memory:
    of_items = Memory(*items.shape)
    of_items.items = items
    return of_items


@pytest.fixture
def queries() -> Tensor:
    torch.manual_seed(1)
    return F.normalize(torch.randn(5, 9, 6), dim=-1)


def guard(**settings: object) -> MemoryGuard:
    defaults = {"threshold": 0.5, "quantile": 0.5, "scope": "dataset", "enabled": True}
    return MemoryGuard(**(defaults | settings))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("enabled", "expected"),
    [(True, [True, False, True, False, True]), (False, [False] * 5)],
)
def test_scores_below_the_threshold_pass(
    enabled: bool, expected: list[bool], memory: Memory
) -> None:
    under_test = guard(enabled=enabled)
    under_test.begin(memory)
    assert under_test.passes(torch.tensor([0.4, 0.5, 0.1, 0.9, 0.49])).tolist() == expected


def test_scope_dataset_has_one_memory_and_scope_video_one_for_each() -> None:
    videos = torch.tensor([3, 3, 5])
    assert guard(scope="dataset").memories(videos) == [0, 0, 0]
    assert guard(scope="video").memories(videos) == [3, 3, 5]


def test_each_memory_is_updated_separately_and_the_trained_items_stay(
    items: Tensor, memory: Memory, queries: Tensor
) -> None:
    trained = items.clone()
    under_test = guard()
    under_test.begin(memory)
    under_test.update(queries[:2], [3, 5])
    under_test.update(queries[2:3], [5])
    under_test.update(queries[:0], [])
    after = under_test.items([3, 5, 7])
    assert torch.allclose(after[0], write(queries[0], trained), atol=1e-6)
    assert torch.allclose(after[1], write(queries[2], write(queries[1], trained)), atol=1e-6)
    assert torch.equal(after[2], trained)
    assert torch.equal(items, trained)
    under_test.begin(memory)
    assert torch.equal(under_test.items([5])[0], trained)


def test_auto_takes_the_quantile_of_normal_scores() -> None:
    under_test = guard(threshold="auto", quantile=0.25)
    assert under_test.threshold != under_test.threshold  # NaN: not calibrated
    under_test.calibrate(torch.linspace(0, 1, 401)[torch.randperm(401)])
    assert under_test.threshold == pytest.approx(0.25)


def test_a_checkpoint_stores_the_calibration_of_auto() -> None:
    first, second = guard(threshold="auto"), guard(threshold="auto")
    first.calibrate(torch.tensor([0.1, 0.2, 0.4]))
    second.load_state_dict(first.state_dict())
    assert second.threshold == first.threshold == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("threshold", "written", "sentence"),
    [
        (0.01, 0, r"no frame .*: γ = 0\.01 does not separate .* go from 0\.02 to 0\.5: "),
        (0.9, 2, r"all 2 frames .*: γ = 0\.9 does not separate .* or to auto with another"),
        ("auto", 0, r"no frame .* in a validation, and there was none\. .* to a number between\."),
    ],
)
def test_a_guard_that_passes_all_or_no_frames_says_why(
    threshold: float | str, written: int, sentence: str
) -> None:
    passed = torch.tensor([number < written for number in range(2)])
    warning = guard(threshold=threshold).idle_warning(torch.tensor([0.02, 0.5]), passed)
    assert warning is not None
    assert re.search(sentence, warning)


def test_a_guard_that_separates_frames_or_is_disabled_has_no_warning() -> None:
    regular = torch.tensor([0.02, 0.5])
    assert guard(threshold=0.1).idle_warning(regular, torch.tensor([True, False])) is None
    none = torch.tensor([False, False])
    assert guard(threshold=0.1, enabled=False).idle_warning(regular, none) is None


def test_no_frame_updates_a_memory_that_learns_by_gradient(queries: Tensor) -> None:
    memory = MemAEMemory(size=4, dim=6, shrinkage=1)
    under_test = guard(threshold=9.0)
    under_test.begin(memory)
    passes = under_test.passes(torch.tensor([0.02, 0.5]))
    assert passes.tolist() == [False, False]
    under_test.update(queries[:1], [0])
    assert torch.equal(under_test.items([0])[0], memory.items)
    warning = under_test.idle_warning(torch.tensor([0.02, 0.5]), passes)
    assert warning is not None
    assert re.search(r"leaves the items as trained: .* guard\.enabled=false", warning)
    assert guard(enabled=False).idle_warning(torch.tensor([0.02, 0.5]), passes) is None


def test_items_of_an_earlier_test_continue_in_their_memory_alone() -> None:
    memory = Memory(size=2, dim=2)
    memory.items = torch.eye(2)
    guard = MemoryGuard(threshold=0.0, quantile=0.5, scope="video", enabled=True)
    guard.begin(memory)
    guard.restore(3, torch.tensor([[0.6, 0.8], [0.0, 1.0]]))
    assert guard.items([3, 1]).tolist() == [
        [[pytest.approx(0.6), pytest.approx(0.8)], [0, 1]],
        [[1, 0], [0, 1]],
    ]
    with pytest.raises(ValueError, match=r"shape \(3, 2\); this memory has \(2, 2\)"):
        guard.restore(1, torch.zeros(3, 2))


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"threshold": "low"}, "threshold='low' must be a number or auto"),
        ({"quantile": 1.5}, "quantile=1.5 must be from 0 to 1"),
        ({"scope": "camera"}, "scope='camera' must be dataset or video"),
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, Any], sentence: str) -> None:
    possible = {"threshold": 0.1, "quantile": 0.5, "scope": "video", "enabled": True}
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        MemoryGuard(**(possible | wrong))
