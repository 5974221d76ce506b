"""Compare int8 with 32 bits: ``python experiments/benchmarks/int8.py CHECKPOINT DATA NORMAL``.

The checkpoint is exported for OpenVINO in both, int8 calibrated on the normal video NORMAL, and the
test of its dataset, in the folder DATA, is scored by both, one window at a time. They take turns,
batch by batch, and times are seconds of the processor, so that a busy machine slows both alike. Set
``OMP_NUM_THREADS=1``.
"""

import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from omegaconf import OmegaConf
from rich.console import Console
from rich.table import Table
from torch import Tensor

from memguard.config.compose import register_resolvers
from memguard.detection.frame_scorer import FrameScorer, ScoredFrames
from memguard.live.graph.description import Description
from memguard.live.graph.runtime import open_graph
from memguard.live.graph.scorer import GraphScorer
from memguard.scoring.protocols import ScoreConfig, frame_metrics
from memguard.training.build import build_benchmark, build_datamodule
from memguard.training.trained import restore

WARM_UP = 2  # batches
SCORES = {"auroc": "published", "auroc_psnr": "PSNR", "auroc_patch": "worst patch"}


class GraphTest(FrameScorer):
    """Test an exported graph.

    Args:
        path: Its file.
        scoring: Turns the values of a test into scores.

    Attributes:
        seconds: Of the processor, for each batch.
    """

    def __init__(self, path: Path, scoring: ScoreConfig) -> None:
        super().__init__(scoring)
        self._path, self.seconds = path, list[float]()
        self.begin_test()

    def begin_test(self) -> None:
        """Open the graph with the trained items."""
        described = Description.of_graph(self._path)
        self._scorer = GraphScorer(open_graph(self._path, described.format), described)

    def score_frames(self, clips: Tensor, videos: Tensor) -> ScoredFrames:
        """Score the last frame of each window; see :class:`FrameScorer`."""
        windows, streams = clips.movedim(2, -1).numpy(), videos.tolist()
        start = time.process_time()
        found = self._scorer.score_windows(windows, streams)
        self.seconds.append(time.process_time() - start)
        return {name: torch.from_numpy(values) for name, values in found._asdict().items()}  # type: ignore[return-value]

    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Refuse: no test asks for it."""
        raise TypeError("a graph scores frames alone")


def exported(checkpoint: Path, folder: Path, normal: str) -> dict[str, Path]:
    """Export a checkpoint in both precisions."""
    words = {"fp32": [], "int8": ["precision=int8", f"video={normal}"]}
    for name, own in words.items():
        given = [f"checkpoint={checkpoint}", "format=openvino", f"output={folder / name}.xml", *own]
        subprocess.run([sys.executable, "-m", "memguard.export", *given], check=True)
    return {name: folder / f"{name}.xml" for name in words}


def main(checkpoint: Path, data: str, normal: str) -> None:
    """Export, test and print a table."""
    register_resolvers()
    detector, config = restore(checkpoint, OmegaConf.create({"paths": {"data_dir": data}}))
    datamodule = build_datamodule(config, replace(build_benchmark(config), train=()))
    datamodule.prepare_data()
    datamodule.setup()
    with tempfile.TemporaryDirectory() as folder:
        paths = exported(checkpoint, Path(folder), normal)
        tests = {name: GraphTest(path, detector.scoring) for name, path in paths.items()}
        sizes = {name: path.with_suffix(".bin").stat().st_size for name, path in paths.items()}
    for number, batch in enumerate(datamodule.test_dataloader()):
        for test in tests.values():
            test.test_step(batch, number)
    table = Table(
        "graph", "weights, MB", "frames/s", *SCORES.values(), "largest difference of a score"
    )
    expected: Tensor | None = None
    for name, test in tests.items():
        frames = test.joined_frames()
        metrics = frame_metrics(frames, detector.scoring)
        scores = detector.alarm.score(frames["patch"])
        expected = scores if expected is None else expected
        rate = len(scores) / sum(test.seconds)
        aurocs = [f"{100 * metrics[f'test/{score}']:.2f}" for score in SCORES]
        difference = float((scores - expected).abs().max())
        table.add_row(name, f"{sizes[name] / 1e6:.1f}", f"{rate:.1f}", *aurocs, f"{difference:.2g}")
    Console().print(table)
    pairs = torch.tensor([test.seconds for test in tests.values()])[:, WARM_UP:]
    ratios = pairs[0] / pairs[1]
    low, middle, high = ratios.quantile(torch.tensor([0.1, 0.5, 0.9])).tolist()
    print(f"int8 is {middle:.2f} times as fast (10th to 90th percentile {low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
