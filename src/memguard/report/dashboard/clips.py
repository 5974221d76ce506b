"""Predictions or reconstructions of a few held-out clips, epoch by epoch."""

from typing import cast

import pytorch_lightning as pl
import torch

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch, sample_windows
from memguard.detection.frame_scorer import FrameScorer
from memguard.report.dashboard.figure_sink import FigureSink
from memguard.report.pictures import levels
from memguard.report.plots.frames import ComparedFrame, frame_comparison


class HeldOutClips(pl.Callback):
    """Show target, prediction or reconstruction, and error of the same held-out clips each epoch.

    Without held-out clips it shows nothing.

    Args:
        folder: The run folder; a picture for each epoch goes to ``figures/epochs/``.
        clips: The number of clips.
    """

    def __init__(self, folder: str, clips: int) -> None:
        self.sink = FigureSink(folder)
        self.clips = clips
        self._batch: ClipBatch | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the clips."""
        data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
        self._batch = sample_windows(data.held_out, length=data.length, count=self.clips)
        self._names = [record.name for record in data.benchmark.train]

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Predict or reconstruct the clips, and show them."""
        if self._batch is None or not trainer.is_global_zero:
            return
        with trainer.precision_plugin.forward_context():
            output, target = cast(FrameScorer, pl_module).predict(
                self._batch.frames.to(pl_module.device)
            )
        places = zip(self._batch.video.tolist(), self._batch.frame.tolist(), strict=True)
        frames = [
            ComparedFrame(f"{self._names[video]}, frame {frame}", levels(seen), levels(expected))
            for (video, frame), seen, expected in zip(places, target, output, strict=True)
        ]
        epoch = trainer.current_epoch + 1
        self.sink.figure(
            trainer,
            "val/held_out_clips",
            frame_comparison(frames, predicted=self._batch.frames.shape[1] > 1),
            file=f"epochs/held_out_clips_{epoch:03}.png",
        )
