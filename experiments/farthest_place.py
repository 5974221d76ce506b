"""Test trainings by the place farthest from the memory: ``experiments/farthest_place.py RUN…``.

The distance of a frame is the mean over its places, as published. Here it is that of the farthest
place, and nothing else of the test changes. The ``metrics.json`` of each run gets
``test/auroc_distance_farthest`` (the distance alone) and ``test/auroc_farthest`` (the published
score), so ``record.py`` records them. A training without a memory has no such place.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
from torch import Tensor

from memguard.config.compose import register_resolvers
from memguard.detection.detector import Detector
from memguard.detection.frame_scorer import RememberedFrames
from memguard.training.build import build_benchmark, build_datamodule
from memguard.training.trained import restore

KEYS = {
    "test/auroc_distance": "test/auroc_distance_farthest",
    "test/auroc": "test/auroc_farthest",
}


def score_by_farthest_place(detector: Detector) -> None:
    """Let the distance of each frame be that of its farthest place."""
    score = detector.score_frames

    def by_farthest_place(clips: Tensor, videos: Tensor) -> RememberedFrames:
        found = score(clips, videos)
        cosine = found["similarity"].amax(dim=-1).flatten(1)  # of the nearest item, per place
        found["distance"] = (2 - 2 * cosine.amin(dim=1)) / detector.memory.items.shape[-1]
        return found

    detector.score_frames = by_farthest_place  # type: ignore[method-assign]


def measured(run: Path) -> dict[str, float]:
    """Test the last checkpoint of a run by the farthest place."""
    detector, config = restore(run / "checkpoints" / "last.ckpt")
    score_by_farthest_place(detector)
    module = build_datamodule(config, replace(build_benchmark(config), train=()))
    trainer = pl.Trainer(
        accelerator="cpu", precision=config.trainer.precision,
        logger=False, enable_checkpointing=False, enable_progress_bar=False,
    )  # fmt: skip
    trainer.test(detector, module, verbose=False)
    return {new: float(trainer.callback_metrics[old]) for old, new in KEYS.items()}


def main(runs: list[Path]) -> None:
    """Add the metrics to those of each run."""
    register_resolvers()
    for run in runs:
        path = run / "metrics.json"
        metrics = json.loads(path.read_text(encoding="utf-8"))
        found = measured(run)
        path.write_text(json.dumps(metrics | found, indent=2) + "\n", encoding="utf-8")
        print(run.name, found, flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(list(map(Path, sys.argv[1:])))
