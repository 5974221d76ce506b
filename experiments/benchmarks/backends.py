"""Compare backends of live scoring: ``python backends.py CHECKPOINT NORMAL VIDEO…``.

The checkpoint is exported for each backend, in int8 calibrated on the normal video NORMAL, and a
process of each scores the first frames of each VIDEO, from decoding to rows, with one thread. Times
are seconds of the processor, which a busy machine changes little: the start is all until the scorer
is ready, imports included. A second table has the parts of the time.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
from rich.console import Console
from rich.table import Table

WARM_UP, FRAMES = 16, 100
PARTS = ("decoding", "resizing", "network", "scores")


class Backend(NamedTuple):
    """A way to run the network.

    Attributes:
        name: The backend of ``memguard.score``.
        precision: Of PyTorch, or of the export.
        file: The name of the exported graph.
    """

    name: str
    precision: str
    file: str | None = None


BACKENDS = (
    Backend("torch", "32-true"),
    Backend("torch", "bf16-mixed"),
    Backend("onnx", "fp32", "graph.onnx"),
    Backend("openvino", "fp32", "graph.xml"),
    Backend("openvino", "int8", "int8.xml"),
)


def main(checkpoint: Path, normal: Path, videos: list[Path]) -> None:
    """Export the checkpoint, score the videos by each backend, and print both tables."""
    rates = Table("backend", "start, s", *(f"{video.name}, frames/s" for video in videos))
    rates.add_column("× torch 32-true")
    rates.add_column("largest difference")
    shares = Table("backend", "video", *(f"{part}, %" for part in PARTS))
    first: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for backend in BACKENDS:
            path = exported(backend, checkpoint, normal, Path(folder))
            found = [measured(backend, path, video) for video in videos]
            first = first or found
            ratios = [each["rate"] / base["rate"] for each, base in zip(found, first, strict=True)]
            rates.add_row(
                f"{backend.name} {backend.precision}", f"{found[0]['start']:.1f}",
                *(f"{each['rate']:.1f}" for each in found),
                " ".join(f"{ratio:.2f}" for ratio in ratios), f"{difference(found, first):.1g}",
            )  # fmt: skip
            for video, each in zip(videos, found, strict=True):
                parts = (f"{100 * each['parts'][part]:.0f}" for part in PARTS)
                shares.add_row(f"{backend.name} {backend.precision}", video.name, *parts)
    Console(width=120).print(rates, shares)


def difference(found: list[dict[str, Any]], first: list[dict[str, Any]]) -> float:
    """Return the largest difference of a score from those of the first backend."""
    pairs = [(each["scores"], base["scores"]) for each, base in zip(found, first, strict=True)]
    return max(float(np.abs(np.subtract(*pair)).max()) for pair in pairs)


def exported(backend: Backend, checkpoint: Path, normal: Path, folder: Path) -> Path:
    """Export the checkpoint for a backend; return what it scores with."""
    if backend.file is None:
        return checkpoint
    path = folder / backend.file
    words = [f"checkpoint={checkpoint}", f"format={backend.name}", f"output={path}"]
    words.append(f"precision={backend.precision}")
    if backend.precision == "int8":
        words.append(f"video={normal}")
    subprocess.run([sys.executable, "-m", "memguard.export", *words], check=True)
    return path


def measured(backend: Backend, path: Path, video: Path) -> dict[str, Any]:
    """Score the video in a process of its own, with one thread."""
    words = [sys.executable, __file__, *backend[:2], str(path), str(video)]
    alone = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(words, env=alone, stdout=subprocess.PIPE, check=True)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def score(backend: str, precision: str, path: str, video: Path) -> None:
    """Score the video by one backend, and print its times and scores as JSON."""
    from memguard.data.video.stream import VideoStream
    from memguard.detection.events import ScoredPicture

    scorer = opened(backend, precision, path)
    start = time.process_time()
    list(islice(scorer.watch(VideoStream(video)), WARM_UP))
    with timed_parts(scorer) as seconds:
        began = time.process_time()
        watched = islice(scorer.watch(VideoStream(video)), FRAMES)
        scores = [each.score for each in watched if isinstance(each, ScoredPicture)]
        whole = time.process_time() - began
    seconds["decoding"] = whole - sum(seconds.values())
    parts = {part: seconds[part] / whole for part in PARTS}
    rate = FRAMES / whole
    print(json.dumps({"start": start, "rate": rate, "scores": scores, "parts": parts}))


def opened(backend: str, precision: str, path: str) -> Any:
    """Open the scorer of a backend."""
    from omegaconf import OmegaConf

    from memguard.live.graph.scorer import open_scorer

    if backend == "torch":
        from memguard.live.scorer import load

        return load(path, trainer={"accelerator": "cpu", "precision": precision})
    guard = {"enabled": None, "threshold": None, "scope": None}
    settings = {"checkpoint": path, "backend": backend, "conditions": False, "guard": guard}
    return open_scorer(OmegaConf.create(settings))


@contextmanager
def timed_parts(scorer: Any) -> Iterator[dict[str, float]]:
    """Add up the seconds of the parts that are functions; decoding is the rest."""
    from memguard.data.video.fitting import fitted

    seconds: dict[str, float] = defaultdict(float)

    def timed(part: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def timing(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            answer = run(*given, **named)
            seconds[part] += time.process_time() - began
            return answer

        return timing

    scorer.score_windows = timed("network", scorer.score_windows)
    scorer._scored = timed("scores", scorer._scored)
    with patch("memguard.live.past.fitted", timed("resizing", fitted)):
        yield seconds


if __name__ == "__main__":
    if sys.argv[1:2] and sys.argv[1] in {backend.name for backend in BACKENDS}:
        backend, precision, graph, film = sys.argv[1:]
        score(backend, precision, graph, Path(film))
    else:
        checkpoint, normal, *videos = map(Path, sys.argv[1:])
        main(checkpoint, normal, videos)
