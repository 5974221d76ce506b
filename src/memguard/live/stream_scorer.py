"""Causal scoring of endless streams: each frame from the past alone, in bounded memory.

Here is what surrounds the network, in NumPy. :mod:`memguard.live.scorer` has PyTorch's network, and
:mod:`memguard.live.graph.scorer` that of an exported graph.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from memguard.data.video.stream import Interruption, Pictures, Stream, VideoStream
from memguard.detection.alarm_scale import AlarmScale
from memguard.detection.events import COLUMNS, Moment, ScoredPicture
from memguard.errors import CheckpointError
from memguard.live.past import StreamPast
from memguard.live.standing import Background
from memguard.report.table import Table
from memguard.scoring.patch_places import (
    errors_of_places,
    patch_box,
    worst_patch,
    worst_places,
)
from memguard.scoring.regions import Region, find_regions, region_in

if TYPE_CHECKING:
    from memguard.detection.reference import Reference

# The smoothing reaches over about as many: fewer held-out frames are one value, and no alarm.
FEWEST_FRAMES = 10

# The ratio of two rates at which motion looks different.
OTHER_RATE = 1.25

log = logging.getLogger(__name__)


class ScoredFrames(NamedTuple):
    """The values of successive frames, as a network gives them.

    Attributes:
        psnr: (N,), dB.
        distance: (N,), of the queries from the memory's items.
        regular: (N,), the regular score.
        written: bool (N,), whether the frame updated the memory.
        patch: (N, S, rows, columns), the patch errors.
        error: (N, H, W), the squared error of each pixel, in [0, 1].
    """

    psnr: np.ndarray
    distance: np.ndarray
    regular: np.ndarray
    written: np.ndarray
    patch: np.ndarray
    error: np.ndarray

    def split(self, counts: Sequence[int]) -> "list[ScoredFrames]":
        """Split them into parts of so many frames."""
        ends = np.cumsum(counts)[:-1]
        columns = (np.split(values, ends) for values in self)
        return [ScoredFrames(*part) for part in zip(*columns, strict=True)]


class StreamScorer(ABC):
    """Score streams by the patch with the largest error, smoothed over the past.

    Args:
        length: Frames of a window.
        frame_size: Height and width of the network's frames.
        channels: Channels of the network's frames.
        sizes: For each size of patches, height and width as shares of the frame's.
        smoothing: Standard deviation of the smoothing over time, frames.
        alarm: The calibrated alarm of anomalies.
        fps: Frames per second of the training videos; None if unknown.

    Attributes:
        alarm: Gives the level of events.
        sizes: Of the patches, the smallest first.
        frame_size: Height and width of the network's frames.
        fps: Frames per second of the training videos; None if unknown.
    """

    def __init__(
        self,
        *,
        length: int,
        frame_size: tuple[int, int],
        channels: int,
        sizes: Sequence[Sequence[float]],
        smoothing: float,
        alarm: AlarmScale,
        fps: float | None,
    ) -> None:
        self.frame_size, self.fps = frame_size, fps
        self.alarm, self.sizes = alarm, sizes
        self._length, self._channels, self._smoothing = length, channels, smoothing
        self._streams = 0

    @property
    @abstractmethod
    def standing(self) -> AlarmScale | None:
        """The alarm of things that stand still; None for a graph without its calibration."""

    @property
    @abstractmethod
    def reference(self) -> "Reference | None":
        """The look of normal pictures; None for an exported graph, which has none."""

    @abstractmethod
    def score_windows(self, windows: np.ndarray, streams: Sequence[int]) -> ScoredFrames:
        """Score windows, and update the memory.

        Args:
            windows: uint8 (N, T, H, W, C). The windows of one stream are in order, and the next
                call continues them.
            streams: The number of each window's stream.
        """

    def watch(
        self, stream: Stream, ignored: np.ndarray | None = None
    ) -> Iterator[ScoredPicture | Interruption]:
        """Score a stream's pictures one by one; the first few have no past and get no score.

        An interruption is yielded as the stream yields it, and the past before it is forgotten. A
        stream that ends without any score is warned of.

        Args:
            stream: The stream.
            ignored: bool (H, W), the pixels of the network's frame whose errors do not count.
        """
        self._warn_of_rate(stream)
        past = self.begin(ignored)
        read, is_scored = 0, False
        for item in stream:
            if isinstance(item, Interruption):
                past.forget()
                yield item
                continue
            read += len(item.rgb)
            (scored,) = self.score_together([(past, item)])
            is_scored = is_scored or bool(scored)
            yield from scored
        if not is_scored:
            log.warning(
                "%s: no frame is scored, as each score needs %d frames in a row, and there are %d.",
                stream.name, self._length, read,
            )  # fmt: skip

    def begin(self, ignored: np.ndarray | None = None) -> StreamPast:
        """Begin a stream, which :meth:`score_together` then scores.

        Args:
            ignored: bool (H, W), the pixels of the network's frame whose errors do not count.
        """
        self._streams += 1
        return StreamPast(
            self._streams,
            self._length,
            self.frame_size,
            self._channels,
            self.sizes,
            self._smoothing,
            ignored,
        )

    def background(self, ignored: np.ndarray | None = None) -> Background:
        """Begin the background of a stream, by which things that stand still are found.

        Args:
            ignored: bool (H, W), the pixels of the network's frame whose differences do not count.
        """
        return Background(self.frame_size, self.sizes[0], ignored)

    def _warn_of_rate(self, stream: Stream) -> None:
        if self.fps and not 1 / OTHER_RATE < stream.fps / self.fps < OTHER_RATE:
            log.warning(
                "%s has %.3g frames a second, and the model was trained at %.3g: its motion looks "
                "unlike that of the training. Train on video of the same rate.",
                stream.name, stream.fps, self.fps,
            )  # fmt: skip

    def score(self, video: Path | str) -> Table:
        """Score a video file.

        Returns:
            A row per scored frame, under the columns :data:`COLUMNS`.

        Raises:
            DataError: The video cannot be read.
        """
        stream = VideoStream(Path(video))
        watched = self.watch(stream)
        rows = [scored.row() for scored in watched if isinstance(scored, ScoredPicture)]
        return Table(COLUMNS, rows)

    def score_together(
        self, arrived: Sequence[tuple[StreamPast, Pictures]]
    ) -> list[list[ScoredPicture]]:
        """Score the next pictures of several streams as one batch.

        Args:
            arrived: Each stream with its pictures. A stream may come several times, in order.

        Returns:
            For each of them the scored pictures: those that have a past.
        """
        windows = [past.windows(pictures) for past, pictures in arrived]
        counts = [len(each) for each in windows]
        if not any(counts):
            return [[] for _ in arrived]
        streams = [past.number for past, _ in arrived]
        found = self.score_windows(np.concatenate(windows), np.repeat(streams, counts).tolist())
        parts = zip(arrived, found.split(counts), strict=True)
        return [self._scored(past, pictures, part) for (past, pictures), part in parts]

    def _scored(
        self, past: StreamPast, pictures: Pictures, found: ScoredFrames
    ) -> list[ScoredPicture]:
        """Join the last of the pictures with their scores."""
        without_past = len(pictures.rgb) - len(found.psnr)
        if without_past == len(pictures.rgb):
            return []
        patches, smoothed = past.patches(found.patch, found.error)
        sizes, frame, picture = self.sizes, self.frame_size, pictures.rgb.shape[2:]
        own, lasting = (errors_of_places(errors, sizes, frame) for errors in (patches, smoothed))
        places = worst_places(own, lasting, sizes[0], frame).tolist()
        scores = self.alarm.score(worst_patch(smoothed)).tolist()
        errors = past.counted(found.error)
        psnr, distance, regular, written = (values.tolist() for values in found[:4])
        return [
            ScoredPicture(
                _moment(pictures, without_past + i),
                score=scores[i],
                psnr=psnr[i],
                distance=distance[i],
                regular=regular[i],
                written=written[i],
                box=patch_box(place[0], place[1], sizes[0], frame, picture),
                rgb=pictures.rgb[without_past + i],
                error=errors[i],
                regions=partial(self._regions, own[i], lasting[i], picture),
            )
            for i, place in enumerate(places)
        ]

    def _regions(
        self, own: np.ndarray, lasting: np.ndarray, picture: Sequence[int]
    ) -> list[Region]:
        """Find the regions of a picture from its errors of places, (rows, columns) each."""
        frame = self.frame_size
        (regions,) = find_regions(own[None], lasting[None], self.sizes[0], frame)
        regions[:, 4] = self.alarm.score(regions[:, 4])
        # NaN where there are fewer
        return [region_in(row, frame, picture) for row in regions.tolist() if row[4] > 0]


def _moment(pictures: Pictures, number: int) -> Moment:
    time = pictures.times[number] if pictures.times else None
    return Moment(pictures.first + number, pictures.seconds[number], time)


def require_alarm(checkpoint: Path | str, alarm: Any) -> None:
    """Reject a checkpoint whose alarm is not calibrated, or rests on fewer than ten frames.

    Raises:
        CheckpointError: It is.
    """
    if not alarm.calibrated:
        raise CheckpointError(
            f"{checkpoint} does not know the scores of normal video: it was imported, stopped "
            "within its first epoch, trained by an earlier version, or with data.holdout=0: "
            "calibrate it on normal hours with python -m memguard.calibrate, or train again with "
            "data.holdout=0.05 or more; memguard.evaluate takes it without."
        )
    frames, _peaks = alarm.sample_counts
    if frames < FEWEST_FRAMES:
        raise CheckpointError(
            f"{checkpoint} has seen {frames} held-out normal frames, too few for an alarm: "
            "calibrate it on normal hours with python -m memguard.calibrate, or train again with "
            "a larger data.holdout or longer videos."
        )
