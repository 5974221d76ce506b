"""The memory that finds its size: births, merges and use by hand, and its size on known queries."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import vonmises_fisher
from torch import Tensor

from memguard.model.memory.base import present
from memguard.model.memory.growing import GrowingMemory, with_merged, with_novel
from memguard.model.memory.mnad import Memory

C = 32


def angle(*degrees: float) -> Tensor:
    """Unit rows of the plane."""
    radians = torch.tensor(degrees).deg2rad()
    return torch.stack([radians.cos(), radians.sin()], dim=1)


def test_the_farthest_query_becomes_an_item_and_its_neighbours_do_not() -> None:
    items = torch.cat([angle(0), torch.zeros(3, 2)])
    # 60° and 100° are novel, the farther is first; 95° is near it then, 50° is near neither.
    found, born = with_novel(items, angle(10, 95, 50, 100), novelty=1 - math.cos(math.radians(40)))
    torch.testing.assert_close(found, torch.cat([angle(0, 100, 50), torch.zeros(1, 2)]))
    assert born.tolist() == [False, True, True, False]


def test_no_item_comes_into_being_without_a_free_row_or_beyond_four() -> None:
    full = angle(0, 90)
    assert torch.equal(with_novel(full, angle(180), novelty=0.1)[0], full)
    _, born = with_novel(torch.zeros(9, 8), torch.eye(8), novelty=0.1)
    assert born.sum() == 4


def test_the_two_most_similar_items_merge_by_use() -> None:
    # 10° lies between 0° and 25°; the nearer pair merges, once.
    items = torch.cat([angle(90, 0, 10), torch.zeros(1, 2), angle(25)])
    use = torch.tensor([7, 2, 0, 0, 5])
    found, joint = with_merged(items, use, merge=1 - math.cos(math.radians(20)))
    expected = F.normalize(3 * angle(0) + 1 * angle(10), dim=1)
    torch.testing.assert_close(
        found, torch.cat([angle(90), expected, torch.zeros(2, 2), angle(25)])
    )
    assert joint.tolist() == [7, 2, 0, 0, 5]
    assert torch.equal(with_merged(items, use, merge=0.01)[0], items)


def test_items_that_few_queries_use_go_at_the_end_of_an_epoch() -> None:
    memory = GrowingMemory(max_size=4, dim=2, novelty=0.5, merge=0.1)
    memory.update(angle(0, 90).unsqueeze(0))
    for _ in range(20):
        memory.update(angle(*[0] * 100).unsqueeze(0))
    assert memory.queries == 2002
    assert memory.use.tolist() == [2001, 1, 0, 0]
    memory.update(angle(90).unsqueeze(0))
    memory.end_epoch()  # of 2003 queries two are needed, and it has two
    assert present(memory.items).tolist() == [True, True, False, False]
    for _ in range(20):
        memory.update(angle(*[0] * 100).unsqueeze(0))
    memory.end_epoch()
    assert present(memory.items).tolist() == [True, False, False, False]
    assert memory.queries == 0
    assert not memory.use.any()


def test_an_item_that_has_just_come_into_being_stays_and_its_query_pulls_no_other() -> None:
    memory = GrowingMemory(max_size=4, dim=2, novelty=0.5, merge=0.1)
    for _ in range(50):
        memory.update(angle(*[0] * 100).unsqueeze(0))
    memory.update(angle(90).unsqueeze(0))
    memory.end_epoch()
    torch.testing.assert_close(memory.items[:2], angle(0, 90))


def test_an_empty_memory_recalls_nothing_and_takes_no_write() -> None:
    memory = GrowingMemory(max_size=3, dim=2, novelty=0.5, merge=0.1)
    features = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).requires_grad_()
    result = memory(features)
    assert torch.allclose(result.fused.flatten(), torch.tensor([0.6, 0.8, 0.0, 0.0]))
    result.fused.sum().backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert not memory.write(result.query.detach(), memory.items).any()


def test_rows_without_an_item_change_nothing() -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 6, 3, 3)
    items = F.normalize(torch.randn(4, 6), dim=1)
    growing, plain = GrowingMemory(9, 6, 0.5, 0.1), Memory(4, 6)
    with_gaps = torch.zeros(9, 6)
    with_gaps[[1, 2, 5, 8]] = items
    found, expected = growing(features, with_gaps), plain(features, items)
    torch.testing.assert_close(found.fused, expected.fused)
    written = growing.write(found.query, with_gaps)
    torch.testing.assert_close(written[[1, 2, 5, 8]], plain.write(expected.query, items))
    assert not written[[0, 3, 4, 6, 7]].any()


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), novelty=st.floats(0.2, 0.9))
def test_items_are_unit_rows_no_two_of_them_alike_and_none_beyond_the_rows(
    seed: int, novelty: float
) -> None:
    torch.manual_seed(seed)
    memory = GrowingMemory(max_size=12, dim=5, novelty=novelty, merge=0.0)
    for step in range(6):
        memory.update(F.normalize(torch.randn(2, 7, 5), dim=-1))
        if step % 3 == 2:
            memory.end_epoch()
    lengths = memory.items.norm(dim=1)
    assert torch.allclose(lengths, present(memory.items).float(), atol=1e-6)
    assert not memory.use[~present(memory.items)].any()


def of_directions(count: int, seed: int) -> list[Tensor]:
    """Batches of queries about random directions, (8, 32, C) each."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(count, C))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    rows = np.concatenate(
        [vonmises_fisher(mu, kappa=150).rvs(800 // count * 8, random_state=rng) for mu in centres]
    )
    rng.shuffle(rows)
    return list(torch.from_numpy(rows).float()[: len(rows) // 256 * 256].view(-1, 8, 32, C))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("count", [3, 10, 40])
def test_it_ends_with_as_many_items_as_the_queries_have_directions(count: int, seed: int) -> None:
    memory = GrowingMemory(max_size=100, dim=C, novelty=0.5, merge=0.1)
    for _epoch in range(2):
        for query in of_directions(count, seed):
            memory.update(query)
        memory.end_epoch()
    assert abs(int(present(memory.items).sum()) - count) <= count // 10


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"max_size": 0}, "max_size=0 must be from 1 to 1000"),
        ({"max_size": 1001}, "max_size=1001 must be from 1 to 1000"),
        ({"merge": 0.5}, "merge=0.5 must be at least 0 and less than novelty=0.5"),
        ({"merge": -0.1}, "merge=-0.1 must be at least 0"),
    ],
)
def test_impossible_values_are_refused(wrong: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        GrowingMemory(**({"max_size": 9, "dim": 6, "novelty": 0.5, "merge": 0.1} | wrong))  # type: ignore[arg-type]
