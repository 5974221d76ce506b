"""Measure training steps of each memory: ``python experiments/benchmarks/memories.py [OVERRIDE…]``.

Whole steps on random windows (forward, losses, write, backward, optimiser). The memories take
turns, several times: other load on the machine then slows all of them alike. Peak memory is that of
tensors on a GPU, and of a process that takes steps with this memory alone on a CPU. Overrides are
those of ``memguard.train``: ``model=mnad``.
"""

import multiprocessing
import resource
import sys
from itertools import repeat
from statistics import median

import torch
from composed import composed
from rich.console import Console
from rich.table import Table
from train_step import Step, clips_per_second, our_step

from memguard.data.video.frame_size import sides
from memguard.training.build import build_detector

MEMORIES = ("mnad", "none", "memae", "growing", "multiscale")
ROUNDS = 3
STEPS = 3  # of a process whose memory is measured

Made = tuple[Step, torch.Tensor]


def made(memory: str, overrides: list[str]) -> Made:
    """Build the step of a memory, and windows for it."""
    config, fabric, _wait = composed([*overrides, f"memory={memory}"])
    data = config.data
    shape = (data.batch_size, config.task.past + 1, data.channels, *sides(data.frame_size))
    clips = torch.randint(0, 256, shape, dtype=torch.uint8)
    return our_step(build_detector(config), fabric), fabric.to_device(clips)


def peak_megabytes(memory: str, overrides: list[str]) -> float:
    """Take a few steps in this process, which takes no others; measure its peak memory."""
    step, clips = made(memory, overrides)
    for _ in range(STEPS):
        step(clips)
    if clips.device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3  # in kB on Linux


def main(overrides: list[str]) -> None:
    """Print the table."""
    # Before this process grows: on Linux a process inherits the peak of the one that starts it.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        peaks = {memory: pool.apply(peak_megabytes, (memory, overrides)) for memory in MEMORIES}
    _config, _fabric, wait = composed(overrides)
    steps = {memory: made(memory, overrides) for memory in MEMORIES}
    for step, clips in steps.values():
        step(clips)
    seconds: dict[str, list[float]] = {memory: [] for memory in MEMORIES}
    for _ in range(ROUNDS):
        for memory, (step, clips) in steps.items():
            speed = clips_per_second(step, repeat(clips), wait)
            seconds[memory].append(len(clips) / speed)

    table = Table(title="A training step with each memory")
    for column in ("memory", "ms", "× mnad", "peak, MB", "× mnad"):
        table.add_column(column, justify="left" if column == "memory" else "right")
    for memory, values in seconds.items():
        times = median(a / b for a, b in zip(values, seconds["mnad"], strict=True))
        peak = peaks[memory]
        numbers = (f"{1000 * median(values):.0f}", f"{times:.2f}")
        table.add_row(memory, *numbers, f"{peak:.0f}", f"{peak / peaks['mnad']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
