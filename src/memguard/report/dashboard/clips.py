"""How a few held-out clips are predicted or reconstructed, epoch by epoch."""

from typing import cast

import pytorch_lightning as pl
import torch

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch, sample_windows
from memguard.detection.frame_scorer import FrameScorer
from memguard.report.dashboard.figure_sink import Board
from memguard.report.plots import PaintedFrame, levels, painted_frames


class HeldOutClips(pl.Callback):
    """Shows target, prediction or reconstruction, and error of the same held-out clips each epoch.

    Nothing is shown where nothing is held out.

    Args:
        folder: The run folder; a picture for each epoch goes to ``figures/epochs/``.
        clips: How many.
    """

    def __init__(self, folder: str, clips: int) -> None:
        self.board = Board(folder)
        self.clips = clips
        self._batch: ClipBatch | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Choose the clips."""
        data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
        self._batch = sample_windows(data.held_out, length=data.length, count=self.clips)
        self._names = [record.name for record in data.benchmark.train]

    @torch.no_grad()
    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Paint them."""
        if self._batch is None or not trainer.is_global_zero:
            return
        with trainer.precision_plugin.forward_context():
            output, target = cast(FrameScorer, pl_module).predict(
                self._batch.frames.to(pl_module.device)
            )
        places = zip(self._batch.video.tolist(), self._batch.frame.tolist(), strict=True)
        frames = [
            PaintedFrame(f"{self._names[video]}, frame {frame}", levels(was), levels(painted))
            for (video, frame), was, painted in zip(places, target, output, strict=True)
        ]
        epoch = trainer.current_epoch + 1
        self.board.figure(
            trainer,
            "val/held_out_clips",
            painted_frames(frames, predicted=self._batch.frames.shape[1] > 1),
            file=f"epochs/held_out_clips_{epoch:03}.png",
        )
