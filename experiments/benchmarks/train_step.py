"""Measure training steps: ``python experiments/benchmarks/train_step.py [OVERRIDE…]``.

Whole steps (windows on the device, forward, losses, write, backward, optimiser), side by side:

- ``plain``: the same model in 32 bits, eager, channels outermost, with similarities computed again
  for each use, a write that loops over the items as in published code, a gradient for every bias,
  and Adam without fusion,
- ``biases``: as memguard, with a gradient for the biases that batch norm subtracts,
- ``memguard``: as ``memguard.train`` with the same overrides.

They take turns, several times: other load on the machine then slows all of them alike. The share of
a step's time in convolutions, and of an epoch's time in waiting for windows, follow. Overrides are
those of ``memguard.train``: ``model=mnad dataset=ped2 dataset.cache=ram``.
"""

import copy
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from statistics import median

import torch
import torch.nn.functional as F
from composed import composed
from lightning_fabric import Fabric
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from memguard.data.clips.windows import ClipBatch
from memguard.detection.detector import Detector
from memguard.model.losses import compactness_loss, separateness_loss
from memguard.training.build import build_benchmark, build_datamodule, build_detector
from memguard.training.machine import keep_freed_memory

ROUNDS = 3
SECONDS = 10.0  # each takes steps for so long in each round, and two at least
WAITING_STEPS = 8

Step = Callable[[Tensor], None]


def write_item_by_item(query: Tensor, items: Tensor) -> Tensor:
    """Update the items as published code does: by a loop over them, which waits for each."""
    query = query.flatten(0, 1)
    similarity = query @ items.T
    over_queries = similarity.softmax(dim=0)
    nearest = similarity.argmax(dim=1)
    rows = []
    for m in range(len(items)):
        members = (nearest == m).nonzero().squeeze(1)
        if len(members) == 0:
            rows.append(items[m])
            continue
        weight = (over_queries[members, m] / over_queries[:, m].max()).unsqueeze(1)
        rows.append(F.normalize(items[m] + (weight * query[members]).sum(dim=0), dim=0))
    return torch.stack(rows)


def plain_step(detector: Detector, config: DictConfig, device: torch.device) -> Step:
    """Build a step without memguard's optimisations."""
    detector = detector.to(device, memory_format=torch.contiguous_format).train()
    detector.layout = torch.contiguous_format
    detector.autoencoder.requires_grad_()
    optimizer = torch.optim.Adam(detector.autoencoder.parameters(), lr=config.optimizer.lr)

    def step(clips: Tensor) -> None:
        frames, target = detector.split(clips)
        output, recalled = detector(frames)
        items = detector.memory.items
        loss = F.mse_loss(output, target)
        loss = loss + config.loss.compactness * compactness_loss(recalled.query, items)
        loss = loss + config.loss.separateness * separateness_loss(recalled.query, items)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        detector.memory.items = write_item_by_item(recalled.query.detach(), items)

    return step


def our_step(detector: Detector, fabric: Fabric) -> Step:
    """Build the step of memguard.train."""
    detector = detector.to(fabric.device).train()
    optimizer = detector.make_optimizer(detector.learned())

    def step(clips: Tensor) -> None:
        with fabric.autocast():
            loss = detector.learn(clips).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def clips_per_second(step: Step, batches: Iterator[Tensor], wait: Callable[[], None]) -> float:
    """Count the windows of whole steps."""
    clips, steps, start = 0, 0, time.perf_counter()
    while steps < 2 or time.perf_counter() - start < SECONDS:
        batch = next(batches)
        step(batch)
        wait()
        clips, steps = clips + len(batch), steps + 1
    return clips / (time.perf_counter() - start)


def share_of_convolutions(step: Step, batch: Tensor, wait: Callable[[], None]) -> float:
    """Profile the share of a step's time in convolutions."""
    cuda = batch.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if cuda else [])]
    with profile(activities=activities) as found:
        step(batch)
        wait()
    events = found.key_averages()
    times = {e.key: e.self_device_time_total if cuda else e.self_cpu_time_total for e in events}
    # On a GPU the time is that of operators' kernels, which go by their operators' names, too.
    operators = {key: value for key, value in times.items() if key.startswith("aten::")}
    return sum(v for key, v in operators.items() if "conv" in key) / sum(operators.values())


def share_of_waiting(step: Step, batches: Iterator[ClipBatch], fabric: Fabric) -> float:
    """Measure the share of the time of successive steps spent waiting for windows."""
    waited, start = 0.0, time.perf_counter()
    for _ in range(WAITING_STEPS):
        requested = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - requested
        step(fabric.to_device(batch.frames))
    return waited / (time.perf_counter() - start)


def endless(config: DictConfig) -> Iterator[ClipBatch]:
    """Yield batches of training windows, epoch after epoch, as memguard.train streams them."""
    datamodule = build_datamodule(config, build_benchmark(config))
    datamodule.prepare_data()
    datamodule.setup()
    while True:
        yield from datamodule.train_dataloader()


def main(overrides: list[str]) -> None:
    """Print the table."""
    keep_freed_memory()  # as a training does
    config, fabric, wait = composed(overrides)
    batches = endless(config)
    clips = cycle([fabric.to_device(batch.frames) for batch in islice(batches, 4)])
    detector = build_detector(config)
    steps = {
        "plain": plain_step(copy.deepcopy(detector), config, fabric.device),
        "biases": our_step(copy.deepcopy(detector).requires_grad_(), fabric),
        "memguard": our_step(detector, fabric),
    }
    speeds: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step(next(clips))
    for _ in range(ROUNDS):
        for name, step in steps.items():
            speeds[name].append(clips_per_second(step, clips, wait))

    how = f"{config.data.batch_size}, {config.trainer.precision}, {fabric.device}"
    table = Table(title=f"Training steps of {how}")
    for column in ("step", "clips/s", "lowest", "highest", "× plain", "convolutions"):
        table.add_column(column, justify="left" if column == "step" else "right")
    for name, values in speeds.items():
        numbers = (median(values), min(values), max(values))
        share = share_of_convolutions(steps[name], next(clips), wait)
        times = median(a / b for a, b in zip(values, speeds["plain"], strict=True))
        table.add_row(name, *(f"{n:.2f}" for n in (*numbers, times)), f"{share:.0%}")
    Console().print(table)
    waiting = share_of_waiting(steps["memguard"], batches, fabric)
    Console().print(f"Waiting for windows: {waiting:.2%} of the time of {WAITING_STEPS} steps")


if __name__ == "__main__":
    main(sys.argv[1:])
