"""The LightningDataModule: a benchmark's videos as batches of clip windows."""

from pathlib import Path

import pytorch_lightning as pl
from rich.progress import track
from torch.utils.data import DataLoader, Dataset

from memguard.data.layouts import Benchmark, VideoRecord
from memguard.data.video import Video, as_video
from memguard.data.windows import ClipBatch, OrderedWindows, Segment, ShuffledWindows
from memguard.errors import DataError

TEST_BATCH = 16


class ClipDataModule(pl.LightningDataModule):
    """Streams the clip windows of a benchmark through decord.

    Frame folders are converted to video first. The tail of each training video is held out: normal
    windows that the model never saw, for the validation and to calibrate the guard.

    Args:
        benchmark: Where the videos and labels are.
        cache_dir: Where converted frame folders go.
        past: Frames before the scored one in a window.
        frame_size: Side of the square that frames are resized to, pixels.
        channels: 1 for grey, 3 for RGB.
        batch_size: Training windows per step.
        workers: Loader processes; 0 decodes in the training process.
        holdout: Share of each training video's frames, at its end, that are held out; 0 for none.
        seed: Of the order of training windows.
    """

    def __init__(
        self,
        benchmark: Benchmark,
        *,
        cache_dir: Path | str,
        past: int,
        frame_size: int,
        channels: int,
        batch_size: int,
        workers: int,
        holdout: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.benchmark = benchmark
        self.cache_dir = Path(cache_dir).expanduser()
        self.length = past + 1
        self.frame_size = frame_size
        self.channels = channels
        self.batch_size = batch_size
        self.workers = workers
        self.holdout = holdout
        self.seed = seed
        self._train: list[Segment] = []
        self._held_out: list[Segment] = []
        self._test: list[Segment] = []

    def prepare_data(self) -> None:
        """Convert frame folders to video, where that was not done before."""
        records = self.benchmark.train + self.benchmark.test
        for record in track(
            [record for record in records if record.source.is_dir()],
            description="Frames to video",
            transient=True,
        ):
            as_video(record.source, self.cache_dir)

    def setup(self, stage: str | None = None) -> None:
        """Open and check every video that the stage needs.

        Raises:
            DataError: A video cannot be decoded or is shorter than a window, or its labels cannot
                be read or do not fit it.
        """
        if stage in ("fit", "validate", None) and not self._train:
            for number, record in enumerate(self.benchmark.train):
                video = self._open(record)
                cut = len(video) - self._held_out_frames(len(video))
                self._train.append(Segment(video, number, range(cut)))
                if cut < len(video):
                    self._held_out.append(Segment(video, number, range(cut, len(video))))
        if stage in ("test", None) and not self._test:
            for number, record in enumerate(self.benchmark.test):
                video = self._open(record)
                labels = record.labels(len(video)) if record.labels else None
                self._test.append(Segment(video, number, range(len(video)), labels))

    def _open(self, record: VideoRecord) -> Video:
        video = Video(
            as_video(record.source, self.cache_dir),
            frame_size=self.frame_size,
            channels=self.channels,
        )
        video.check()
        if len(video) < self.length:
            raise DataError(
                f"{record.source} has {len(video)} frames, fewer than the {self.length} of one "
                f"window: take it out of the dataset, or use task=recon."
            )
        return video

    def _held_out_frames(self, frames: int) -> int:
        """How many frames at the end of a video of this many to hold out: a window at least."""
        if self.holdout == 0:
            return 0
        count = max(round(self.holdout * frames), self.length)
        return count if frames - count >= self.length else 0

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        """Shuffled windows of the trainer's present epoch."""
        trainer = self.trainer
        return self._loader(
            ShuffledWindows(
                self._train,
                length=self.length,
                batch_size=self.batch_size,
                seed=self.seed,
                epoch=trainer.current_epoch if trainer else 0,
                workers=self.workers,
                rank=trainer.global_rank if trainer else 0,
                world_size=trainer.world_size if trainer else 1,
            )
        )

    def val_dataloader(self) -> DataLoader[ClipBatch]:
        """Held-out normal windows in order."""
        return self._ordered(self._held_out)

    def test_dataloader(self) -> DataLoader[ClipBatch]:
        """Test windows in order, video by video."""
        return self._ordered(self._test)

    def _ordered(self, segments: list[Segment]) -> DataLoader[ClipBatch]:
        return self._loader(OrderedWindows(segments, length=self.length, batch_size=TEST_BATCH))

    def _loader(self, windows: Dataset[ClipBatch]) -> DataLoader[ClipBatch]:
        return DataLoader(windows, batch_size=None, num_workers=self.workers)
