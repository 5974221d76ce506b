"""The memory against numbers worked out by hand, and the invariants of its write."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from memguard.model.memory.mnad import Memory, read, write


def unit(*rows: tuple[float, ...]) -> Tensor:
    return F.normalize(torch.tensor(rows, dtype=torch.float64), dim=-1)


def write_as_published(query: Tensor, items: Tensor) -> Tensor:
    """The write in the paper's own words: item by item, with both softmax and maximum."""
    similarity = query @ items.T
    over_queries = similarity.softmax(dim=0)
    nearest = similarity.argmax(dim=1)
    new = items.clone()
    for m in range(len(items)):
        members = (nearest == m).nonzero().flatten()
        if len(members):
            share = over_queries[members, m] / over_queries[:, m].max()
            new[m] = F.normalize(items[m] + (share[:, None] * query[members]).sum(0), dim=0)
    return new


def test_read_mixes_items_by_softmax_of_cosines() -> None:
    features = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)
    result = read(features, torch.eye(2))
    assert torch.allclose(result.query, torch.tensor([[[0.6, 0.8]]]))
    assert torch.allclose(result.similarity, torch.tensor([[[0.6, 0.8]]]))
    first = math.exp(0.6) / (math.exp(0.6) + math.exp(0.8))
    expected = torch.tensor([0.6, 0.8, first, 1 - first])
    assert torch.allclose(result.fused.flatten(), expected)


def test_read_keeps_places_apart() -> None:
    features = torch.zeros(1, 2, 2, 3)
    features[0, 0] = 1
    features[0, :, 1, 2] = torch.tensor([0.0, 5.0])
    result = read(features, torch.eye(2))
    assert result.fused.shape == (1, 4, 2, 3)
    assert result.query.shape == (1, 6, 2)
    assert torch.equal(result.query[0, 5], torch.tensor([0.0, 1.0]))
    assert torch.equal(result.fused[0, :2, 1, 2], torch.tensor([0.0, 1.0]))
    assert result.fused[0, 3, 1, 2] > result.fused[0, 2, 1, 2]


def test_read_with_a_memory_per_row_equals_each_row_alone() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 8, 2, 2)
    items = F.normalize(torch.rand(3, 5, 8), dim=-1)
    together = read(features, items)
    for row in range(3):
        alone = read(features[row : row + 1], items[row])
        assert torch.allclose(together.fused[row], alone.fused[0])


def test_write_by_hand() -> None:
    # Queries 0 and 1 belong to item 0, query 2 to item 1.
    query = unit((1, 0, 0), (4, 0, 3), (0, 1, 0))
    items = unit((1, 0, 0), (0, 1, 0))
    # Cosines with item 0 are 1, 0.8, 0: weights exp(0), exp(-0.2). With item 1: 0, 0, 1.
    weight = math.exp(0.8 - 1)
    expected = unit((1 + 1 + 0.8 * weight, 0, 0.6 * weight), (0, 2, 0))
    assert torch.allclose(write(query, items), expected)


def test_an_item_that_nobody_is_nearest_to_stays_to_the_bit() -> None:
    torch.manual_seed(1)
    items = F.normalize(torch.rand(3, 7), dim=1)
    query = F.normalize(items[:1] + 0.01 * torch.rand(20, 7), dim=1)
    new = write(query, items)
    assert torch.equal(new[1:], items[1:])
    assert not torch.equal(new[0], items[0])


@settings(max_examples=40)
@given(seed=st.integers(0, 10_000), queries=st.integers(1, 40), size=st.integers(2, 8))
def test_write_equals_the_published_form(seed: int, queries: int, size: int) -> None:
    """The softmax's normaliser cancels against its maximum, and items stay unit rows."""
    torch.manual_seed(seed)
    query = F.normalize(torch.randn(queries, 6, dtype=torch.float64), dim=1)
    items = F.normalize(torch.rand(size, 6, dtype=torch.float64), dim=1)
    new = write(query, items)
    assert torch.allclose(new, write_as_published(query, items), atol=1e-12)
    assert torch.allclose(new.norm(dim=1), torch.ones(size, dtype=torch.float64))


def test_with_one_memory_all_queries_are_one_batch() -> None:
    torch.manual_seed(2)
    query = F.normalize(torch.randn(3, 5, 6), dim=-1)
    items = F.normalize(torch.rand(4, 6), dim=-1)
    assert torch.allclose(write(query, items), write(query.flatten(0, 1), items))


def test_with_a_memory_per_row_each_row_writes_into_its_own() -> None:
    torch.manual_seed(3)
    query = F.normalize(torch.randn(3, 5, 6), dim=-1)
    items = F.normalize(torch.rand(3, 4, 6), dim=-1)
    together = write(query, items)
    for row in range(3):
        assert torch.allclose(together[row], write(query[row], items[row]))


def test_update_leaves_the_read_items_to_the_backward_pass() -> None:
    torch.manual_seed(4)
    memory = Memory(size=4, dim=6)
    assert torch.allclose(memory.items.norm(dim=1), torch.ones(4))
    features = torch.randn(2, 6, 3, 3, requires_grad=True)
    result = memory(features)
    expected = write(result.query, memory.items)
    memory.update(result.query)
    result.fused.sum().backward()
    assert torch.equal(memory.items, expected)
    assert "items" in memory.state_dict()
    assert not memory.items.requires_grad


def _update_in_group(rank: int, world: int, store: str, results: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=world
    )
    torch.manual_seed(5)
    memory = Memory(size=6, dim=4)
    query = F.normalize(torch.randn(2, 9, 4), dim=-1)
    memory.update(query[:1, :7] if rank == 0 else query[1:, :3])
    torch.save(memory.items, f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_two_processes_write_the_same_items_as_one(tmp_path) -> None:
    torch.multiprocessing.spawn(_update_in_group, (2, str(tmp_path / "store"), str(tmp_path)), 2)
    torch.manual_seed(5)
    memory = Memory(size=6, dim=4)
    query = F.normalize(torch.randn(2, 9, 4), dim=-1)
    memory.update(torch.cat([query[:1, :7], query[1:, :3]], dim=1))
    for rank in range(2):
        assert torch.allclose(torch.load(tmp_path / f"{rank}.pt"), memory.items, atol=1e-6)


def test_a_write_uses_a_given_similarity() -> None:
    torch.manual_seed(2)
    query = F.normalize(torch.randn(2, 6, 3), dim=-1)
    items = F.normalize(torch.rand(4, 3), dim=-1)
    assert torch.equal(write(query, items, query @ items.T), write(query, items))
    other = F.normalize(torch.rand(4, 3), dim=-1)
    assert not torch.allclose(write(query, items, query @ other.T), write(query, items))
