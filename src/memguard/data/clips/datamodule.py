"""The LightningDataModule: the videos of a benchmark as batches of clip windows."""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Literal

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from memguard.data.clips.frame_cache import cache_frames
from memguard.data.clips.holdout import split
from memguard.data.clips.segments import STRETCH_WINDOWS, Frames, Segment
from memguard.data.clips.windows import ClipBatch, OrderedWindows, ShuffledWindows
from memguard.data.datasets.benchmark import Benchmark
from memguard.data.datasets.preparation import Footage, Preparation, PreparedVideo, prepare
from memguard.data.video.frame_size import FrameSize
from memguard.data.video.reader import Video
from memguard.distributed import deal
from memguard.errors import ConfigError

TEST_BATCH = 16

log = logging.getLogger(__name__)


class ClipDataModule(pl.LightningDataModule):
    """Stream the clip windows of a benchmark; see :mod:`memguard.data.video.random_access`.

    It inspects every video first, and converts frame folders to video. Stretches of each training
    video are held out: these normal windows validate the model, and calibrate guard and alarm.

    Args:
        benchmark: The videos and labels.
        cache_dir: The folder of converted videos and cached frames.
        past: Number of frames before the scored one in a window.
        frame_size: Side of the square that frames are resized to, or height and width, pixels.
        channels: 1 for grey, 3 for RGB.
        batch_size: Training windows per step.
        threads: Threads that decode ahead; 0 decodes each batch when it is requested.
        holdout: Share of each training video's frames that are held out; 0 for none. See
            :func:`~memguard.data.clips.holdout.split`.
        seed: Seed of the order of training windows.
        stretch: Number of successive training windows decoded together; see
            :class:`~memguard.data.clips.windows.ShuffledWindows`.
        windows_per_epoch: The number of training windows to sample for each epoch; None, or more
            than there are, for all. See :func:`~memguard.data.clips.segments.sampled`.
        on_error: "raise" an error for videos that cannot be used, or "skip" them.
        cache: Cache decoded and resized training frames for the next epoch: on "disk", in "ram" or
            "none". It changes no result.
        videos_apart: Test videos are independent. Then they are side by side in a batch, and
            several processes share them; else each process tests all, one after the other.

    Raises:
        ValueError: The share, the sample or the number of channels is impossible.

    Attributes:
        skipped: The number of skipped videos of each split, after `setup`.
        tested: The footage of each usable test video by number, after `setup`.
        held_out: The held-out segments of the training videos, after `setup`.
        test_segments: The test videos, after `setup`.
        fps: Frames per second of the training videos, the median, after `setup`; None if none of
            them has a clock.

    Example:
        >>> from memguard.data.datasets.folder import folder
        >>> module = ClipDataModule(
        ...     folder("door"), cache_dir="cache", past=4, frame_size=64, channels=1, batch_size=8,
        ...     threads=1, holdout=0.05, seed=0,
        ... )
        >>> module.prepare_data()
        >>> module.setup()
        >>> batch = next(iter(module.train_dataloader()))
        >>> batch.frames.shape  # 8 windows of 5 frames: the past and the frame to predict
        torch.Size([8, 5, 1, 64, 64])
    """

    def __init__(
        self,
        benchmark: Benchmark,
        *,
        cache_dir: Path | str,
        past: int,
        frame_size: FrameSize,
        channels: int,
        batch_size: int,
        threads: int,
        holdout: float,
        seed: int,
        stretch: int = STRETCH_WINDOWS,
        windows_per_epoch: int | None = None,
        on_error: Literal["raise", "skip"] = "raise",
        cache: Literal["none", "disk", "ram"] = "none",
        videos_apart: bool = False,
    ) -> None:
        super().__init__()
        if not 0 <= holdout < 1:
            raise ValueError(f"holdout={holdout} must be a share from 0 to below 1")
        if windows_per_epoch is not None and windows_per_epoch < 1:
            raise ValueError(f"windows_per_epoch={windows_per_epoch} must be at least 1")
        if channels not in (1, 3):
            raise ValueError(f"channels={channels} must be 1 (grey) or 3 (RGB)")
        self.benchmark = benchmark
        self.cache_dir = Path(cache_dir).expanduser()
        self.length = past + 1
        self.frame_size = frame_size
        self.channels = channels
        self.batch_size = batch_size
        self.threads = threads
        self.holdout = holdout
        self.seed = seed
        self.stretch = stretch
        self.windows_per_epoch = windows_per_epoch
        self.on_error = on_error
        self.cache = cache
        self.videos_apart = videos_apart
        self.skipped: dict[str, int] = {}
        self.tested: dict[int, Footage] = {}
        self._preparation: Preparation | None = None
        self._train: list[Segment] = []
        self.held_out: list[Segment] = []
        self.test_segments: list[Segment] = []
        self.fps: float | None = None

    def prepare_data(self) -> None:
        """Inspect the videos that are not inspected yet, and convert frame folders."""
        if self._preparation is not None:  # a training calls it again before its test
            return
        self._preparation = prepare(self.benchmark, self.cache_dir, length=self.length)
        # Stop before loggers begin a run. Several processes must stop together, in the setup.
        if self.cache == "disk" or (self.trainer and self.trainer.world_size == 1):
            self._require_usable(self._preparation)
        if self.cache == "disk":  # once for all processes of a machine
            self._cached(
                [self._video(footage) for _, footage, _ in _usable(self._preparation.train)]
            )

    def setup(self, stage: str | None = None) -> None:
        """Build the segments of all usable videos.

        Raises:
            DataError: If a video has a problem and `on_error` is "raise", or every video of a split
                has one. The message has a line for each problem.
            ConfigError: If a process would have no training window.
        """
        if self._train or self.test_segments:
            return
        # One process of a machine has prepared; the others read its results from the cache.
        preparation = self._preparation or prepare(
            self.benchmark, self.cache_dir, length=self.length
        )
        self._require_usable(preparation)
        for problem in preparation.problems:
            log.warning("Left out: %s", problem)
        self.skipped = {"train": _skipped(preparation.train), "test": _skipped(preparation.test)}
        train = list(_usable(preparation.train))
        rates = [footage.fps for _, footage, _ in train if footage.fps]
        self.fps = median(rates) if rates else None
        videos = self._cached([self._video(footage) for _, footage, _ in train])
        for (number, footage, _), video in zip(train, videos, strict=True):
            trained, held_out = split(footage.frames, self.holdout, self.length)
            self._train += [Segment(video, number, stretch) for stretch in trained]
            self.held_out += [Segment(video, number, stretch) for stretch in held_out]
        self._require_window_for_each_process()
        for number, footage, labels in _usable(preparation.test):
            video = self._video(footage)
            self.test_segments.append(Segment(video, number, range(footage.frames), labels))
            self.tested[number] = footage

    def _require_usable(self, preparation: Preparation) -> None:
        if self.on_error == "raise" or not preparation.leaves_enough():
            preparation.require_no_problem()

    def _require_window_for_each_process(self) -> None:
        if self._train and self.epoch_windows < self._world_size:
            raise ConfigError(
                f"An epoch has {self.epoch_windows} training windows, fewer than the "
                f"{self._world_size} processes: set data.windows_per_epoch to at least "
                f"{self._world_size}, or train with fewer processes."
            )

    def _video(self, footage: Footage) -> Video:
        return Video(footage.path, frame_size=self.frame_size, channels=self.channels)

    def _cached(self, videos: list[Video]) -> Sequence[Frames]:
        """Return the training videos, cached if configured; tests read their videos once."""
        if self.cache == "none":
            return videos
        return cache_frames(videos, self.cache, self.cache_dir)

    @property
    def training_windows(self) -> int:
        """The number of training windows, after `setup`."""
        return sum(len(segment.windows(self.length)) for segment in self._train)

    @property
    def epoch_windows(self) -> int:
        """The number of training windows of an epoch, after `setup`."""
        return min(self.windows_per_epoch or self.training_windows, self.training_windows)

    def train_dataloader(self) -> DataLoader[ClipBatch]:
        """Return the shuffled windows of the trainer's epoch that it has not taken yet."""
        return _loader(_LazyWindows(lambda: self._shuffled(done=self._done)))

    def all_training_windows(self) -> DataLoader[ClipBatch]:
        """Return all shuffled windows of the trainer's epoch, those that it has taken too."""
        return _loader(self._shuffled(done=0))

    def _shuffled(self, done: int) -> ShuffledWindows:
        return ShuffledWindows(
            self._train,
            length=self.length,
            batch_size=self.batch_size,
            seed=self.seed,
            epoch=self._epoch,
            threads=self.threads,
            stretch=self.stretch,
            sample=self.windows_per_epoch,
            done=done,
            rank=self._rank,
            world_size=self._world_size,
        )

    def val_dataloader(self) -> DataLoader[ClipBatch]:
        """Return the held-out normal windows in order."""
        return self._ordered(self.held_out, rank=self._rank, world_size=self._world_size)

    def test_dataloader(self) -> DataLoader[ClipBatch]:
        """Return the test windows in order, of one video after the other or of several at once."""
        if not self.videos_apart:
            return self._ordered(self.test_segments)
        # Every process must take part in a test; one without videos repeats a short one.
        tests = self.own_tests or sorted(self.test_segments, key=_frames)[:1]
        return self._ordered(tests, abreast=min(len(tests), TEST_BATCH))

    @property
    def own_tests(self) -> list[Segment]:
        """The test videos of this process; each video belongs to one process."""
        if not self.videos_apart:
            return self.test_segments if self._rank == 0 else []
        dealt = deal([_frames(segment) for segment in self.test_segments], self._world_size)
        return [self.test_segments[place] for place in dealt[self._rank]]

    @property
    def _epoch(self) -> int:
        """The epoch whose order of windows is taken: to overfit, always the first one's."""
        overfits = self.trainer and self.trainer.overfit_batches  # type: ignore[attr-defined]
        return self.trainer.current_epoch if self.trainer and not overfits else 0

    @property
    def _done(self) -> int:
        """The number of batches that the trainer has taken in its epoch."""
        return self.trainer.fit_loop.epoch_loop.batch_progress.current.ready if self.trainer else 0

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1

    def test_window(self, video: int, frame: int) -> Tensor:
        """Decode the window of one test frame.

        Args:
            video: The number of the video.
            frame: The 0-based number of the frame.

        Returns:
            uint8 (T, C, H, W), the frame last.
        """
        segment = next(segment for segment in self.test_segments if segment.number == video)
        return segment.video.frames(range(frame - self.length + 1, frame + 1))

    def _ordered(
        self, segments: list[Segment], *, abreast: int = 1, rank: int = 0, world_size: int = 1
    ) -> DataLoader[ClipBatch]:
        return _loader(
            OrderedWindows(
                segments,
                length=self.length,
                batch_size=TEST_BATCH,
                threads=self.threads,
                abreast=abreast,
                rank=rank,
                world_size=world_size,
            )
        )


class _LazyWindows(IterableDataset[ClipBatch]):
    """Build the windows at the first request.

    Lightning builds the loader before it reads from a checkpoint where to resume the training.
    """

    def __init__(self, make: Callable[[], ShuffledWindows]) -> None:
        self.make = make

    def __len__(self) -> int:
        """Count the batches of a whole epoch."""
        return len(self.make())

    def __iter__(self) -> Iterator[ClipBatch]:
        """Build the windows, and yield their batches."""
        yield from self.make()


def _loader(windows: IterableDataset[ClipBatch]) -> DataLoader[ClipBatch]:
    """Wrap windows in the loader that Lightning expects; they batch and decode ahead themselves."""
    # A GPU copies the next batch from pinned memory while it computes.
    return DataLoader(windows, batch_size=None, pin_memory=torch.cuda.is_available())


def _frames(segment: Segment) -> int:
    return len(segment.span)


def _usable(
    split: Sequence[PreparedVideo],
) -> Iterator[tuple[int, Footage, np.ndarray | None]]:
    """Yield number, footage and labels of the videos without problems; numbers count all videos."""
    for number, video in enumerate(split):
        if video.footage and not video.problems:
            yield number, video.footage, video.labels


def _skipped(split: Sequence[PreparedVideo]) -> int:
    return sum(bool(video.problems) for video in split)
