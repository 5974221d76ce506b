"""The callback that draws what a test found, for the run folder and the loggers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from matplotlib.figure import Figure
from pytorch_lightning.loggers import WandbLogger
from torch import Tensor

from memguard.data.windows import ClipBatch
from memguard.report.figures import PaintedFrame, VideoScores, painted_frames, score_timelines

VIDEOS_PER_PAGE = 24
PAINTED_ROWS = 4


@dataclass(frozen=True)
class _Worst:
    """The frame of a video that was painted worst so far."""

    frame: int
    psnr: float
    target: np.ndarray
    output: np.ndarray


class Dashboard(pl.Callback):
    """Writes ``figures/*.png`` at the end of a test and hands them to W&B.

    ``scores.png`` shows the score over time with the truth shaded, in numbered pages where there
    are many videos; ``worst_frames.png`` the worst painted frames of the videos with the highest
    scores there, with their error maps.

    Args:
        folder: The run folder.
    """

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder) / "figures"
        self._worst: dict[int, _Worst] = {}

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last test."""
        self._worst.clear()

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: dict[str, Tensor],  # type: ignore[override]
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the frame of each video that was painted worst; one frame a video in memory."""
        index = int(outputs["psnr"].argmin())
        video, psnr = int(batch.video[index]), float(outputs["psnr"][index])
        if video not in self._worst or psnr < self._worst[video].psnr:
            self._worst[video] = _Worst(
                frame=int(batch.frame[index]),
                psnr=psnr,
                target=_bytes(outputs["target"][index]),
                output=_bytes(outputs["output"][index]),
            )

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Draw the figures."""
        if not trainer.is_global_zero:
            return
        frames: dict[str, Tensor] = pl_module.frames  # type: ignore[assignment]
        names = [record.name for record in trainer.datamodule.benchmark.test]  # type: ignore[attr-defined]
        columns = {name: column.cpu().numpy() for name, column in frames.items()}
        videos = {
            n: _of_video(columns, n, names[n]) for n in np.unique(columns["video"]).astype(int)
        }
        self._publish(trainer, "worst_frames", painted_frames(self._painted(videos)))
        pages = _pages(list(videos.values()))
        for number, page in enumerate(pages, start=1):
            suffix = f"_{number}" if len(pages) > 1 else ""
            self._publish(trainer, f"scores{suffix}", score_timelines(page))

    def _painted(self, videos: dict[int, VideoScores]) -> list[PaintedFrame]:
        """The worst frames with the highest scores, highest first."""

        def score(video: int) -> float:
            place = np.searchsorted(videos[video].frame, self._worst[video].frame)
            return float(videos[video].score[place])

        highest = sorted(self._worst, key=score, reverse=True)[:PAINTED_ROWS]
        return [
            PaintedFrame(
                title=f"{videos[video].name}, frame {worst.frame}\n"
                f"PSNR {worst.psnr:.1f} dB, score {score(video):.2f}",
                target=worst.target,
                output=worst.output,
            )
            for video in highest
            for worst in [self._worst[video]]
        ]

    def _publish(self, trainer: pl.Trainer, name: str, figure: Figure) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.png"
        figure.savefig(path)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image(f"test/{name}", [str(path)])


def _bytes(signal: Tensor) -> np.ndarray:
    """Values in [−1, 1] to levels 0-255."""
    levels = ((signal.float() + 1) * 127.5).round().clamp(0, 255)
    return levels.to(torch.uint8).cpu().numpy()


def _of_video(columns: dict[str, np.ndarray], number: int, name: str) -> VideoScores:
    rows = columns["video"] == number
    return VideoScores(
        name, *(columns[column][rows] for column in ("frame", "score", "label", "written"))
    )


def _pages(videos: Sequence[VideoScores]) -> list[Sequence[VideoScores]]:
    return [videos[i : i + VIDEOS_PER_PAGE] for i in range(0, len(videos), VIDEOS_PER_PAGE)]
