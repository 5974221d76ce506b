"""The measurement of a model after an epoch."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.frame_cache import FramesInMemory
from memguard.data.clips.pseudo_anomalies import PseudoSample
from memguard.data.clips.segments import Segment
from memguard.data.datasets.folder import folder
from memguard.detection.baselines import PreviousFrame
from memguard.scoring.protocols import ScoreConfig
from memguard.training.callbacks.monitors import PseudoAUROC, TestEachEpoch, pseudo_auroc
from tests.conftest import small_detector

HOW = ScoreConfig("published", weight=1.0, patch=(0.5, 0.5), smoothing=0, causal=False)


def stepping(*steps: int) -> Tensor:
    """Windows of two frames, the second brighter than the first by a step in one corner."""
    windows = torch.zeros(len(steps), 2, 1, 8, 8, dtype=torch.uint8)
    for window, step in zip(windows, steps, strict=True):
        window[1, :, :4, :4] = step
    return windows


def test_the_area_is_the_share_of_pairs_that_are_ranked_right() -> None:
    sample = PseudoSample(
        normal=stepping(10, 30), anomalous={"fast": stepping(20, 40), "pasted": stepping(5)}
    )
    areas = pseudo_auroc(PreviousFrame(HOW), sample)
    assert areas == {"pseudo_auroc": 0.375, "pseudo_auroc_fast": 0.75, "pseudo_auroc_pasted": 0.0}


def test_the_worst_patch_counts_and_not_the_whole_picture() -> None:
    normal = torch.zeros(1, 2, 1, 8, 8, dtype=torch.uint8)
    normal[:, 1] = 20  # a little everywhere: the larger error on the whole
    sample = PseudoSample(normal, {"pasted": stepping(35)})
    assert pseudo_auroc(PreviousFrame(HOW), sample)["pseudo_auroc"] == 1.0


def test_every_window_counts_however_many_there_are() -> None:
    few = PseudoSample(normal=stepping(10), anomalous={"pasted": stepping(*[5] * 16, *[20] * 16)})
    assert pseudo_auroc(PreviousFrame(HOW), few)["pseudo_auroc"] == 0.5


def test_pseudo_anomalies_are_made_of_held_out_windows() -> None:
    frames = torch.arange(40, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    video = FramesInMemory(frames.contiguous())
    data = SimpleNamespace(
        held_out=[Segment(video, 0, range(30, 40))],
        _train=[Segment(video, 0, range(30))],
        length=2,
    )
    monitor, trainer = PseudoAUROC(windows=3), SimpleNamespace(datamodule=data)
    monitor.on_fit_start(trainer, None)  # type: ignore[arg-type]
    assert monitor._sample is not None
    assert int(monitor._sample.normal.min()) == 30


class Modes(pl.Callback):
    """Notes whether the network trains, at the beginning of each epoch's first step."""

    def __init__(self) -> None:
        self.training: list[bool] = []

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, index: int) -> None:
        if index == 0:
            self.training.append(module.autoencoder.encoder.training)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_test_after_each_epoch_is_the_test_at_the_end_and_leaves_the_training_alone(
    enabled: bool, shared_scene: Path, tmp_path: Path
) -> None:
    data = ClipDataModule(
        folder(shared_scene), cache_dir=tmp_path, past=4, frame_size=32, channels=1, batch_size=4,
        threads=0, holdout=0.25, seed=0,
    )  # fmt: skip
    modes, detector = Modes(), small_detector(threshold=9.0)
    trainer = pl.Trainer(
        accelerator="cpu", max_epochs=2, logger=False, enable_checkpointing=False,
        callbacks=[TestEachEpoch(enabled), modes], enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(detector.train(), data)
    assert modes.training == [True, True]
    found = {name: float(value) for name, value in trainer.callback_metrics.items()}
    logged = {name: value for name, value in found.items() if "auroc" in name}
    if not enabled:
        assert logged == {}
        return
    trainer.test(detector, data, verbose=False)
    tested = {name: float(value) for name, value in trainer.callback_metrics.items()}
    assert logged == {
        name.replace("test/", "not_for_selection/"): value
        for name, value in tested.items()
        if name.startswith("test/auroc")
    }
    assert len(logged) > 5
