"""Measure keeping freed memory: ``python experiments/benchmarks/kept_memory.py [OVERRIDE…]``.

Two processes take turns with whole training steps, as in ``train_step.py``: in ``returned`` the C
library gives freed memory back to the system, its default; in ``kept`` it does not, as in a
training. Overrides are those of ``memguard.train``: ``experiment=paper_ped2_pred``.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import cycle, islice
from multiprocessing import get_context
from resource import RUSAGE_SELF, getrusage
from statistics import median
from typing import NamedTuple

from composed import composed
from rich.console import Console
from rich.progress import track
from rich.table import Table
from train_step import clips_per_second, endless, our_step

from memguard.training.build import build_detector
from memguard.training.machine import keep_freed_memory

ROUNDS = 3


class Found(NamedTuple):
    """Measurements of a process: speed, pages cleared for a step, and highest memory."""

    clips_per_second: float
    pages: int
    highest_mib: float


def take_steps(overrides: list[str], kept: bool) -> Found:
    """Take steps for some seconds, in a process of its own: the setting cannot be undone."""
    if kept:
        keep_freed_memory()
    config, fabric, wait = composed(overrides)
    step = our_step(build_detector(config), fabric)
    clips = cycle([fabric.to_device(batch.frames) for batch in islice(endless(config), 2)])
    for batch in islice(clips, 2):
        step(batch)
    speed = clips_per_second(step, clips, wait)
    before = getrusage(RUSAGE_SELF).ru_minflt
    step(next(clips))
    after = getrusage(RUSAGE_SELF)
    return Found(speed, after.ru_minflt - before, after.ru_maxrss / 2**10)


def main(overrides: list[str]) -> None:
    """Print the table."""
    found: dict[str, list[Found]] = {"returned": [], "kept": []}
    for _ in track(range(ROUNDS), "Taking steps"):
        for name, of_name in found.items():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                of_name.append(pool.submit(take_steps, overrides, name == "kept").result())
    pairs = zip(found["kept"], found["returned"], strict=True)
    ratio = median(kept.clips_per_second / returned.clips_per_second for kept, returned in pairs)

    table = Table(title="Training steps by what becomes of freed memory")
    columns = ("memory", "clips/s", "lowest", "highest", "× returned", "pages a step", "MiB")
    for column in columns:
        table.add_column(column, justify="left" if column == "memory" else "right")
    for name, of_name in found.items():
        speeds = [each.clips_per_second for each in of_name]
        numbers = (median(speeds), min(speeds), max(speeds))
        times = "1" if name == "returned" else f"{ratio:.2f}"
        pages = f"{median(each.pages for each in of_name):.0f}"
        memory = f"{max(each.highest_mib for each in of_name):.0f}"
        table.add_row(name, *(f"{n:.2f}" for n in numbers), times, pages, memory)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
