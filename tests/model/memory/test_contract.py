"""The contract that every memory keeps: detector, guard and report rely on no more."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed

from memguard.config.compose import config_folder
from memguard.detection.guard import MemoryGuard
from memguard.model.memory.base import BaseMemory, item_use, present, queries_per_item
from memguard.model.memory.growing import GrowingMemory
from memguard.model.memory.memae import MemAEMemory
from memguard.model.memory.mnad import Memory
from memguard.model.memory.multiscale import MultiscaleMemory

C = 8
MEMORIES: dict[str, Callable[[], BaseMemory]] = {
    "mnad": partial(Memory, size=6, dim=C),
    "none": partial(Memory, size=0, dim=C),
    "memae": partial(MemAEMemory, size=6, dim=C, shrinkage=1),
    "multiscale": partial(
        MultiscaleMemory, scales=[8, 4], sizes=[6, 5], dim=C, width=2, shrinkage=1
    ),
    "growing": partial(GrowingMemory, max_size=9, dim=C, novelty=0.7, merge=0.05),
}
each_memory = pytest.mark.parametrize("name", MEMORIES)


def made(name: str) -> BaseMemory:
    """A memory, the same at each call."""
    torch.manual_seed(5)
    return MEMORIES[name]()


def features(number: int, batch: int = 2) -> Tensor:
    """Maps of features, the same at each call."""
    torch.manual_seed(100 + number)
    return torch.randn(batch, C, 3, 4)


def skips(number: int, batch: int = 2) -> list[Tensor]:
    """Maps of an encoder of width 2 at the strides 1, 2 and 4, the same at each call."""
    torch.manual_seed(200 + number)
    return [torch.randn(batch, 2 * stride, 24 // stride, 32 // stride) for stride in (1, 2, 4)]


def train(memory: BaseMemory, steps: range, part: slice = slice(None)) -> None:
    """Take training steps: by gradient where items have one, and by writing."""
    for step in steps:
        result = memory(features(step, batch=4)[part])
        if parameters := list(memory.parameters()):
            memory.zero_grad()
            maps = [result.fused, *memory.read_skips([skip[part] for skip in skips(step, 4)])]
            torch.stack([each.square().mean() for each in maps]).sum().backward()
            for parameter in parameters:
                assert parameter.grad is not None
                if distributed.is_initialized():  # as DistributedDataParallel does
                    distributed.all_reduce(parameter.grad)
                    parameter.grad /= distributed.get_world_size()
                parameter.data -= 0.5 * parameter.grad
        memory.update(result.query.detach(), result.similarity.detach())
        if step % 3 == 2:
            memory.end_epoch()


def trained(name: str, steps: int = 4) -> BaseMemory:
    memory = made(name)
    train(memory, range(steps))
    return memory


def test_every_memory_of_the_configuration_is_tested_here() -> None:
    assert set(MEMORIES) == {path.stem for path in Path(config_folder(), "memory").glob("*.yaml")}


@each_memory
def test_a_read_has_the_shapes_of_the_contract(name: str) -> None:
    memory = trained(name)
    result = memory(features(9))
    rows = len(memory.items)
    assert result.fused.shape == (2, 2 * C, 3, 4)
    assert result.query.shape == result.recalled.shape == (2, 12, C)
    assert result.similarity.shape == result.attention.shape == (2, 12, rows)
    assert torch.allclose(result.query.norm(dim=-1), torch.ones(2, 12))
    torch.testing.assert_close(result.recalled, result.attention @ memory.items)
    if rows:
        assert torch.allclose(result.attention.sum(dim=-1), torch.ones(2, 12))
    shapes = [skip.shape for skip in memory.read_skips(skips(9))]
    assert shapes == [skip.shape for skip in skips(9)]


@each_memory
def test_items_are_unit_rows_or_none(name: str) -> None:
    memory = trained(name)
    items = memory.items.detach()
    lengths = items.norm(dim=1)
    assert torch.allclose(lengths, present(items).float(), atol=1e-6)
    assert made(name).items.shape == items.shape
    if len(items):
        use = item_use(queries_per_item(memory(features(9)).similarity), items)
        assert 0 < float(use["memory/used"]) <= 1


@each_memory
def test_no_gradient_reaches_a_buffer(name: str) -> None:
    memory = made(name)
    result = memory(features(0).requires_grad_())
    memory.update(result.query.detach(), result.similarity.detach())
    (result.fused.sum() + result.recalled.square().sum()).backward()
    assert not any(buffer.requires_grad for buffer in memory.buffers())
    # Items either learn by gradient or are written.
    assert memory.items.requires_grad == (not memory.writes)


@each_memory
def test_with_a_memory_per_row_each_row_is_read_and_written_alone(name: str) -> None:
    first, second = trained(name, 2), trained(name, 4)
    items = torch.stack([first.items.detach(), second.items.detach()])
    maps = features(9)
    together = first(maps, items)
    written = first.write(together.query.detach(), items)
    for row in range(2):
        alone = first(maps[row : row + 1], items[row])
        torch.testing.assert_close(together.fused[row], alone.fused[0])
        torch.testing.assert_close(written[row], first.write(alone.query.detach(), items[row]))


@each_memory
def test_a_checkpoint_has_the_whole_memory(name: str) -> None:
    memory, again = trained(name), made(name)
    again.load_state_dict(memory.state_dict())
    assert torch.equal(again.items, memory.items)
    assert torch.equal(again(features(9)).fused, memory(features(9)).fused)


@each_memory
def test_a_training_resumes_to_the_bit(name: str) -> None:
    whole, begun = made(name), trained(name, 4)
    train(whole, range(8))
    resumed = made(name)
    resumed.load_state_dict({key: value.clone() for key, value in begun.state_dict().items()})
    train(resumed, range(4, 8))
    for key, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[key], value), key


@each_memory
def test_a_test_writes_through_the_guard_and_leaves_the_trained_items(name: str) -> None:
    memory = trained(name)
    before = memory.items.detach().clone()
    guard = MemoryGuard(threshold=0.5, quantile=0.5, scope="video", enabled=True)
    guard.begin(memory)
    passes = guard.passes(torch.tensor([0.1, 0.9])).tolist()
    assert passes == [memory.writes, False]
    guard.update(memory(features(9)).query[:1].detach(), [3])
    written, other = guard.items([3, 4])
    assert torch.equal(other, before)
    assert torch.equal(memory.items, before)
    assert torch.equal(present(written), present(before))
    changed = not torch.equal(written, before)
    assert changed == (memory.writes and len(before) > 0)


def _train_in_group(rank: int, world: int, folder: str) -> None:
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world
    )
    states = {}
    for name in MEMORIES:
        memory = made(name)
        train(memory, range(8), slice(2 * rank, 2 * rank + 2))
        states[name] = memory.state_dict()
    torch.save(states, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.skipif(not distributed.is_available(), reason="torch without distributed")
def test_two_processes_train_every_memory_as_one_does(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_train_in_group, (2, str(tmp_path)), 2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name in MEMORIES:
        alone = trained(name, 8).state_dict()
        for key, value in alone.items():
            assert torch.equal(first[name][key], second[name][key]), (name, key)
            torch.testing.assert_close(first[name][key], value, msg=f"{name} {key}")
