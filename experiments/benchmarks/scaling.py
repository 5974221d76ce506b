"""Estimate the speed of more machines: ``python experiments/benchmarks/scaling.py VIDEO``.

Count and measure the pieces of a training step and of a test, train with one and with two processes
over gloo, and compute from the pieces the cost of large jobs on H200s:

- counted, at the published size: operations of a clip, bytes that a step sends and a clip takes,
- measured here: the memory against the convolutions, how fast VIDEO decodes, how two processes
  scale,
- assumed: a GPU's operations per second from its data sheet, and the share that convolutions reach.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from statistics import median

import torch
import torch.nn.functional as F
from rich.console import Console
from rich.table import Table
from torch import Tensor, distributed, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.parallel import DistributedDataParallel
from torch.utils.flop_counter import FlopCounterMode

from memguard.data.clips.segments import Segment
from memguard.data.clips.windows import ShuffledWindows
from memguard.data.video.reader import Video
from memguard.model.autoencoder import Autoencoder
from memguard.model.losses import compactness_loss, separateness_loss
from memguard.model.memory.mnad import Memory, write

PAST, SIZE, CHANNELS, BATCH = 4, 256, 3, 4
ROUNDS, STEPS = 5, 4
DECODED, THREADS = 512, 2  # frames

TRAINING_FRAMES, EPOCHS = 274_515, 10  # ShanghaiTech Campus, as published
CAMERAS, FPS = 1000, 25

# NVIDIA's figures for an H200 SXM, a second: dense bf16 operations, bytes of PCIe 5 one way.
H200_FLOPS, H200_PCIE = 989e12, 64e9
# The share of it that convolutions reach: the estimate's weakest number, hence a range.
UTILISATION = (0.2, 0.4)
# Bytes a second of an all-reduce: between a machine's GPUs, and over a 400 Gbit/s network card.
NVLINK, NETWORK = 300e9, 40e9
GPUS_PER_MACHINE, CORES_PER_MACHINE = 8, 96


class Step(nn.Module):
    """The computation of a training step, without Lightning.

    Attributes:
        together: Whether all processes update one memory.
    """

    def __init__(
        self, width: int, features: int, items: int = 10, channels: int = CHANNELS
    ) -> None:
        super().__init__()
        self.autoencoder = Autoencoder(
            channels=channels, width=width, features=features, past=PAST, skip_connections=True
        )
        self.memory = Memory(items, features)
        self.together = True

    def forward(self, clips: Tensor) -> Tensor:
        """Return the loss of windows, (B, T, C, H, W) in [−1, 1], and update the memory."""
        features, skips = self.autoencoder.encoder(clips[:, :-1].flatten(1, 2))
        recalled, items = self.memory(features), self.memory.items
        output = self.autoencoder.decoder(recalled.fused, skips)
        loss = F.mse_loss(output, clips[:, -1])
        loss = loss + 0.1 * compactness_loss(recalled.query, items)
        loss = loss + 0.1 * separateness_loss(recalled.query, items, 1.0)
        if self.together:
            self.memory.update(recalled.query)
        else:
            self.memory.items = write(recalled.query, items)
        return loss


@dataclass(frozen=True)
class Counts:
    """Counts for the published size.

    Attributes:
        train: Operations of a clip in training: forward and backward.
        test: Of a frame in a test.
        of_memory: Share of the memory's and the losses' products in those of training.
        gradients: Bytes that a step's all-reduce joins, in 32 bits.
        memory: Bytes that the memory's two all-reduces join.
        clip: Bytes of a window as it goes to the GPU.
    """

    train: float
    test: float
    of_memory: float
    gradients: int
    memory: int
    clip: int


def count() -> Counts:
    """Count by running on tensors without values."""
    with FakeTensorMode():
        step, clips = Step(64, 512), torch.empty(1, PAST + 1, CHANNELS, SIZE, SIZE)
        with FlopCounterMode(display=False) as training:
            step(clips).backward()
        with FlopCounterMode(display=False) as testing, torch.no_grad():
            step(clips)
    kinds = training.get_flop_counts()["Global"]
    convolutions = sum(n for kind, n in kinds.items() if "convolution" in str(kind))
    items = step.memory.items
    return Counts(
        train=training.get_total_flops(),
        test=testing.get_total_flops(),
        of_memory=1 - convolutions / training.get_total_flops(),
        gradients=4 * sum(parameter.numel() for parameter in step.parameters()),
        memory=4 * (len(items) + items.numel()),
        clip=clips.numel(),
    )


def seconds(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Measure the median time of some work; its first run does not count."""
    work()
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return median(times)


def time_pieces() -> dict[str, float]:
    """Measure the parts of a clip's forward pass at the published size, in seconds."""
    torch.manual_seed(0)
    step = Step(64, 512).eval()
    clip = torch.rand(1, PAST * CHANNELS, SIZE, SIZE) * 2 - 1
    with torch.no_grad():
        features, skips = step.autoencoder.encoder(clip)
        recalled, items = step.memory(features), step.memory.items
        return {
            "convolutions": seconds(
                lambda: (
                    step.autoencoder.encoder(clip),
                    step.autoencoder.decoder(recalled.fused, skips),
                )
            ),
            "read": seconds(lambda: step.memory(features)),
            "losses": seconds(
                lambda: (
                    compactness_loss(recalled.query, items),
                    separateness_loss(recalled.query, items, 1.0),
                )
            ),
            "write": seconds(lambda: step.memory.update(recalled.query)),
        }


def decoded_per_second(path: Path) -> float:
    """Measure how many frames one core decodes and resizes in a second."""
    torch.set_num_threads(1)
    video = Video(path, frame_size=SIZE, channels=CHANNELS)
    frames = min(DECODED, len(video))
    return frames / seconds(lambda: video.frames(range(frames)), rounds=3)


def windows_per_second(path: Path) -> float:
    """Measure how many windows one process gets in a second while two threads decode."""
    video = Video(path, frame_size=SIZE, channels=CHANNELS)
    windows = ShuffledWindows(
        [Segment(video, 0, range(len(video)))],
        length=PAST + 1,
        batch_size=BATCH,
        seed=0,
        epoch=0,
        threads=THREADS,
    )
    began = time.perf_counter()
    count = sum(len(batch.frames) for batch in windows)
    return count / (time.perf_counter() - began)


@dataclass(frozen=True)
class Measured:
    """Times of two processes, in seconds.

    Attributes:
        alone: A step of one, while the other waits.
        beside: A step of each at the same time, without communication.
        together: A step of both as one training.
        gradients: An all-reduce of as much as the step's gradients.
        memory: The memory's two all-reduces.
        large: An all-reduce of the published size's gradients.
    """

    alone: float
    beside: float
    together: float
    gradients: float
    memory: float
    large: float


def _train(rank: int, folder: str, large: int) -> None:
    """Measure all works in turns: other load on the machine then slows all of them alike."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    torch.manual_seed(0)
    step = Step(16, 128, channels=1)
    optimizer = torch.optim.Adam(step.parameters(), lr=1e-4)
    both = DistributedDataParallel(step)
    clips = torch.rand(BATCH, PAST + 1, 1, 64, 64) * 2 - 1

    def train(model: nn.Module, *, together: bool) -> None:
        step.together = together
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(clips).backward()
            optimizer.step()

    def reduce(values: int) -> Callable[[], object]:
        buffer = torch.ones(values)
        return lambda: distributed.all_reduce(buffer)

    small = sum(parameter.numel() for parameter in step.parameters())
    query = F.normalize(torch.rand(BATCH, 64, 128), dim=-1)
    works: dict[str, Callable[[], object]] = {
        "alone": lambda: train(step, together=False) if rank == 0 else None,
        "beside": lambda: train(step, together=False),
        "together": lambda: train(both, together=True),
        "gradients": reduce(small),
        "memory": lambda: step.memory.update(query),
        "large": reduce(large),
    }
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS + 1):
        for name, work in works.items():
            distributed.barrier()
            began = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - began)
    if rank == 0:
        of_steps = ("alone", "beside", "together")
        found = {
            name: median(values[1:]) / (STEPS if name in of_steps else 1)
            for name, values in times.items()
        }
        torch.save(found, f"{folder}/found.pt")
    distributed.barrier()
    distributed.destroy_process_group()


def measure_processes(counts: Counts) -> Measured:
    """Measure a training by two processes."""
    with tempfile.TemporaryDirectory() as folder:
        torch.multiprocessing.spawn(_train, (folder, counts.gradients // 4), 2)  # type: ignore
        return Measured(**torch.load(f"{folder}/found.pt"))


def estimate(gpus: int, utilisation: float, counts: Counts) -> dict[str, float]:
    """Compute the time of a training step, a batch of four on each GPU, in seconds.

    The all-reduce of the gradients overlaps with the backward pass, two thirds of the work; only
    the time beyond that adds to the step.
    """
    work = BATCH * counts.train / (utilisation * H200_FLOPS)
    bandwidth = NVLINK if gpus <= GPUS_PER_MACHINE else NETWORK
    reduce = 2 * (gpus - 1) / gpus * (counts.gradients + counts.memory) / bandwidth
    step = work + max(reduce - work * 2 / 3, 0)
    return {"work": work, "reduce": reduce, "step": step}


def show(counts: Counts, pieces: dict[str, float], measured: Measured, video: Path) -> None:
    """Print all results."""
    console = Console(width=110)
    console.print(
        f"Counted: {counts.train / 1e9:.0f} G operations a clip in training, "
        f"{counts.test / 1e9:.0f} G a frame in a test, {100 * counts.of_memory:.2f} % of them the "
        f"memory's and the losses'; a step all-reduces {counts.gradients / 1e6:.1f} MB of "
        f"gradients and {counts.memory / 1e3:.1f} kB of the memory; {counts.clip / 1e6:.2f} MB a "
        "clip go to the GPU."
    )
    whole = sum(pieces.values())
    times = ", ".join(f"{n} {1e3 * s:.1f} ms ({100 * s / whole:.1f} %)" for n, s in pieces.items())
    console.print(f"Measured, a clip forward at the published size: {times}.")
    decoding, windows = decoded_per_second(video), windows_per_second(video)
    console.print(
        f"Measured, decoding to {SIZE}×{SIZE} RGB: {decoding:.0f} frames/s on a core; with "
        f"{THREADS} threads a process is handed {windows:.0f} windows/s."
    )
    table = Table(title="Measured, mnad_tiny, a batch of four on each of two processes, gloo, ms")
    for name in vars(measured):
        table.add_column(name, justify="right")
    table.add_row(*(f"{1e3 * value:.1f}" for value in vars(measured).values()))
    console.print(table)
    predicted = measured.beside + measured.gradients + measured.memory
    console.print(
        f"Two processes together: {predicted * 1e3:.1f} ms a step from the pieces, nothing hidden "
        f"behind anything; {measured.together * 1e3:.1f} ms measured."
    )
    show_training(console, counts, decoding)
    show_fleet(console, counts, decoding)


def show_training(console: Console, counts: Counts, decoding: float) -> None:
    """Print the cost of a training on ShanghaiTech."""
    clips = TRAINING_FRAMES * EPOCHS
    table = Table(
        title=f"{TRAINING_FRAMES:,} training frames, {EPOCHS} epochs, batch of 4 on each GPU"
    )
    for column in (
        "H200s",
        "utilisation",
        "step ms",
        "all-reduce ms",
        "minutes",
        "clips/s",
        "cores",
    ):
        table.add_column(column, justify="right")
    for gpus in (1, 8, 16, 64):
        cores = CORES_PER_MACHINE * max(gpus // GPUS_PER_MACHINE, 1)
        for utilisation in UTILISATION:
            taken = estimate(gpus, utilisation, counts)
            rate = BATCH * gpus / taken["step"]
            table.add_row(
                str(gpus),
                f"{100 * utilisation:.0f} %",
                f"{1e3 * taken['step']:.1f}",
                f"{1e3 * taken['reduce']:.1f}",
                f"{clips / rate / 60:.1f}",
                f"{rate:,.0f}",
                f"{ceil(rate / decoding)} of {cores}",  # each frame is decoded about once
            )
    console.print(table)


def show_fleet(console: Console, counts: Counts, decoding: float) -> None:
    """Print the cost of a fleet of cameras."""
    rate = CAMERAS * FPS
    table = Table(title=f"{CAMERAS} cameras at {FPS} frames a second: {rate:,} frames/s")
    for column in ("utilisation", "frames/s of an H200", "H200s", "cores to decode", "PCIe in all"):
        table.add_column(column, justify="right")
    for utilisation in UTILISATION:
        of_gpu = utilisation * H200_FLOPS / counts.test
        table.add_row(
            f"{100 * utilisation:.0f} %",
            f"{of_gpu:,.0f}",
            f"{rate / of_gpu:.1f}",
            f"{ceil(rate / decoding)}",
            f"{rate * counts.clip / (PAST + 1) / 1e9:.1f} of {H200_PCIE / 1e9:.0f} GB/s",
        )
    console.print(table)


def main() -> None:
    """Print counts, measurements and estimates."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    torch.set_num_threads(os.cpu_count() or 1)
    counts = count()
    pieces = time_pieces()
    show(counts, pieces, measure_processes(counts), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
