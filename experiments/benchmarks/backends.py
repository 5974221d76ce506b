"""Compare backends of live scoring: ``python experiments/benchmarks/backends.py CHECKPOINT VIDEO``.

The checkpoint is exported for each backend, and a process of each scores the first hundred frames
of the video with one thread. Times are seconds of the processor, which a busy machine changes
little: the start is all until the scorer is ready, imports included.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

FRAMES = 100
FILES = {"torch": None, "onnx": "graph.onnx", "openvino": "graph.xml"}


def main(checkpoint: Path, video: Path) -> None:
    """Export the checkpoint, score the video by each backend, and print a table."""
    table = Table("backend", "start, s", "frames/s", "largest difference")
    expected: np.ndarray | None = None
    with tempfile.TemporaryDirectory() as folder:
        for backend, name in FILES.items():
            path = Path(folder) / name if name else checkpoint
            if name:
                words = [f"checkpoint={checkpoint}", f"format={backend}", f"output={path}"]
                subprocess.run([sys.executable, "-m", "memguard.export", *words], check=True)
            words = [sys.executable, __file__, backend, str(path), str(video)]
            alone = os.environ | {"OMP_NUM_THREADS": "1"}
            done = subprocess.run(words, env=alone, stdout=subprocess.PIPE, check=True)
            found = json.loads(done.stdout)
            scores = np.array(found["scores"])
            expected = scores if expected is None else expected
            difference = float(np.abs(scores - expected).max())
            table.add_row(
                backend, f"{found['start']:.1f}", f"{found['rate']:.1f}", f"{difference:.1g}"
            )
    Console().print(table)


def score(backend: str, path: str, video: Path) -> None:
    """Score the video by one backend, and print its times and scores as JSON."""
    from omegaconf import OmegaConf

    from memguard.data.video.stream import VideoStream
    from memguard.detection.events import ScoredPicture
    from memguard.live.graph.scorer import open_scorer
    from memguard.live.stream_scorer import StreamScorer

    scorer: StreamScorer
    if backend == "torch":
        from memguard.live.scorer import load

        scorer = load(path, trainer={"accelerator": "cpu", "precision": "32-true"})
    else:
        guard = {"enabled": None, "threshold": None, "scope": None}
        settings = {"checkpoint": path, "backend": backend, "conditions": False, "guard": guard}
        scorer = open_scorer(OmegaConf.create(settings))
    start = time.process_time()
    watched = islice(scorer.watch(VideoStream(video)), FRAMES)
    scores = [each.score for each in watched if isinstance(each, ScoredPicture)]
    seconds = time.process_time() - start
    print(json.dumps({"start": start, "rate": FRAMES / seconds, "scores": scores}))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        score(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
