"""Compare how threads wait: ``python experiments/benchmarks/waiting_threads.py [OVERRIDE…]``.

OpenMP's threads that share a computation wait for the slowest of them, and spin meanwhile. On a
machine with other work the slowest one may wait for a core that another one spins on. Three
settings take turns, each in a process of its own, on a quiet machine and beside busy processes:

- ``default``: libgomp's own, 300 000 turns and then sleep,
- numbers: sleep after so many turns (``GOMP_SPINCOUNT``),
- ``passive``: sleep almost at once (``OMP_WAIT_POLICY=PASSIVE``),
- ``one thread``: nobody waits.

Each process takes training steps, scores windows as a test does, and scores a video picture by
picture as ``memguard.score`` does. Overrides are those of ``memguard.train``.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from multiprocessing import get_context
from statistics import median

from rich.console import Console
from rich.progress import track
from rich.table import Table

SETTINGS = {
    "default": {"GOMP_SPINCOUNT": "300000"},
    "20000": {"GOMP_SPINCOUNT": "20000"},
    "4000": {"GOMP_SPINCOUNT": "4000"},
    "1000": {"GOMP_SPINCOUNT": "1000"},
    "passive": {"OMP_WAIT_POLICY": "PASSIVE"},
    "one thread": {"OMP_NUM_THREADS": "1"},
}
COMPUTE = """
import torch
torch.set_num_threads(1)
frames, weight = torch.rand(4, 64, 64, 64), torch.rand(64, 64, 3, 3)
while True:
    torch.nn.functional.conv2d(frames, weight)
"""
BESIDE = {
    "none": (),
    "one that computes": (COMPUTE,),
    "two that loop": ("while True: pass",) * 2,
}
WORKS = ("training", "test", "score")
ROUNDS = 1
SECONDS = 4.0

Speeds = dict[str, float]


def measure(overrides: list[str]) -> Speeds:
    """Measure windows or pictures per second of each work."""
    # Imported here, as OpenMP reads its settings when torch is imported.
    import torch
    from composed import composed
    from train_step import endless, our_step

    from memguard.data.video.stream import VideoStream
    from memguard.live.scorer import LiveScorer
    from memguard.training.build import build_benchmark, build_detector
    from memguard.training.machine import keep_freed_memory

    keep_freed_memory()
    config, fabric, _ = composed(overrides)
    detector = build_detector(config)
    step = our_step(detector, fabric)
    batches = cycle([fabric.to_device(batch.frames) for batch in islice(endless(config), 4)])

    def train() -> int:
        clips = next(batches)
        step(clips)
        return len(clips)

    @torch.inference_mode()
    def test() -> int:
        clips = next(batches)
        with fabric.autocast():
            detector.score_frames(clips, torch.zeros(len(clips), dtype=torch.long))
        return len(clips)

    found = {"training": _per_second(train)}
    detector.alarm.calibrate([torch.rand(400)])
    scorer = LiveScorer(detector, config)  # ready for a test
    found["test"] = _per_second(test)
    video = build_benchmark(config).test[0].source
    pictures = (1 for _ in cycle([None]) for _ in scorer.watch(VideoStream(video)))
    found["score"] = _per_second(lambda: next(pictures))
    return found


def _per_second(work: Callable[[], int]) -> float:
    for _ in range(2):
        work()
    done, start = 0, time.perf_counter()
    while time.perf_counter() - start < SECONDS:
        done += work()
    return done / (time.perf_counter() - start)


@contextmanager
def busy(programs: Sequence[str]) -> Iterator[None]:
    """Run these programs meanwhile."""
    running = [subprocess.Popen([sys.executable, "-c", program]) for program in programs]
    try:
        yield
    finally:
        for process in running:
            process.kill()


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables for processes that begin meanwhile."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def main(overrides: list[str]) -> None:
    """Print the table."""
    found: dict[tuple[str, str], list[Speeds]] = {}
    turns = [(load, name) for _ in range(ROUNDS) for load in BESIDE for name in SETTINGS]
    for load, name in track(turns, "Measuring"):
        with (
            busy(BESIDE[load]),
            environment(SETTINGS[name]),
            ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool,
        ):
            speeds = pool.submit(measure, overrides).result()
        found.setdefault((load, name), []).append(speeds)

    table = Table(title=f"Windows per second, {os.cpu_count()} cores, by how threads wait")
    for column in ("other processes", "waiting", *WORKS):
        table.add_column(column, justify="right" if column in WORKS else "left")
    for (load, name), of_setting in found.items():
        cells = []
        for work in WORKS:
            rounds = zip(of_setting, found[load, "default"], strict=True)
            ratio = median(ours[work] / default[work] for ours, default in rounds)
            cells.append(f"{median(speeds[work] for speeds in of_setting):.1f} (× {ratio:.2f})")
        table.add_row(load, name, *cells)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
