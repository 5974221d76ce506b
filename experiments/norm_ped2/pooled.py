"""Three ways to find the statistics of batch norm, by the same weights.

``python experiments/norm_ped2/pooled.py NAME=CHECKPOINT …``. Each CHECKPOINT is tested on its test
videos with those that its training left (``running``, or whatever it was trained with), with the
mean over batches of each batch's mean and variance (``averaged``), and with the mean and variance
of all values of all batches together (``pooled``), both over its training windows. In between,
guard and alarm find the level of the held-out frames again. Written are the figures of all three,
and how far the first two are from the last, under NAME into ``pooled.json`` beside this file.
"""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from measure import HERE, PROVENANCE, test
from norms import Statistics, averaged, gather, offsets, statistics, take_up
from omegaconf import DictConfig
from rich.progress import track
from torch import Tensor

from memguard.config import register_resolvers
from memguard.data.datamodule import ClipDataModule
from memguard.detector import Detector
from memguard.norm import batch_norms
from memguard.provenance import Provenance


def in_each_way(checkpoint: Path) -> dict[str, Any]:
    """Measure statistics in each way, and test with them.

    Args:
        checkpoint: Of a training.
    """
    provenance = Provenance(seed=0)
    detector, datamodule, config = take_up(checkpoint)
    found = _statistics_of(detector, datamodule, config, checkpoint.stem)
    made = provenance.finish()
    tested = {}
    for way, of_way in found.items():
        _give(detector, of_way)
        tested[way] = test(detector, datamodule, config)
    return {
        "tested": tested,
        "off": {way: offsets(found[way], found["pooled"]) for way in ("running", "averaged")},
        "measuring": {key: made[key] for key in PROVENANCE},
    }


def _statistics_of(
    detector: Detector, datamodule: ClipDataModule, config: DictConfig, title: str
) -> dict[str, Statistics]:
    precision = str(config.trainer.precision)

    def clips() -> Iterable[Tensor]:
        windows = track(datamodule.train_dataloader(), title)
        return (batch.frames for batch in windows)

    return {
        "running": statistics(detector),
        "averaged": averaged(detector, clips(), precision),
        "pooled": gather(detector, clips(), precision, momentum=None),
    }


@torch.no_grad()
def _give(detector: Detector, found: Statistics) -> None:
    for name, layer in batch_norms(detector.autoencoder).items():
        for buffer, value in zip(("running_mean", "running_var"), found[name], strict=True):
            layer.get_buffer(buffer).copy_(value)


def main() -> None:
    """Measure and test the checkpoints, one after the other, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("checkpoints", nargs="+", metavar="NAME=CHECKPOINT")
    register_resolvers()
    path = HERE / "pooled.json"
    results = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for argument in parser.parse_args().checkpoints:
        name, checkpoint = argument.split("=", 1)
        results[name] = in_each_way(Path(checkpoint))
        path.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
