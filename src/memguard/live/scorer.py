"""Causal scoring of endless streams: each frame from the past alone, in bounded memory."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from memguard.config.compose import register_resolvers
from memguard.config.trust import trust_of
from memguard.data.video.frame_size import sides
from memguard.data.video.stream import Interruption, Pictures, Stream, VideoStream
from memguard.detection.alarm import Alarm
from memguard.detection.detector import Detector
from memguard.detection.events import COLUMNS, Moment, ScoredPicture
from memguard.detection.lookahead import most_at_once
from memguard.errors import CheckpointError
from memguard.live.past import StreamPast
from memguard.live.standing import Background
from memguard.model.layout import channels_last
from memguard.report.table import Table
from memguard.scoring import (
    Region,
    errors_of_places,
    find_regions,
    patch_box,
    region_in,
    squared_error,
    worst_patch,
    worst_places,
)
from memguard.training.trained import restore

# The values that each frame has.
PER_FRAME = ("output", "target", "patch", "psnr", "distance", "regular", "written")

# The smoothing reaches over about as many: fewer held-out frames are one value, and no alarm.
FEWEST_FRAMES = 10

# The ratio of two rates at which motion looks different.
OTHER_RATE = 1.25

log = logging.getLogger(__name__)


class LiveScorer:
    """Score streams by the patch with the largest error, smoothed over the past.

    Args:
        detector: A trained detector with a calibrated alarm.
        config: The configuration of its training.

    Attributes:
        detector: The detector, on its device.
        alarm: The detector's alarm, which gives the level of events.
        frame_size: Height and width of the network's frames.
        fps: Frames per second of the training videos; None if unknown.

    Example:
        >>> scorer = load("runs/door/checkpoints/last.ckpt")
        >>> scored = next(scorer.watch(VideoStream(Path("door/test/0.mp4"))))
        >>> scored.moment.frame, scored.moment.seconds
        (4, 0.16)
    """

    def __init__(self, detector: Detector, config: DictConfig) -> None:
        trainer = config.trainer
        # Lightning announces each precision but the usual one.
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        fabric = Fabric(accelerator=trainer.accelerator, precision=trainer.precision, devices=1)
        self._precision = fabric.autocast
        self.detector = detector.to(fabric.device).eval()
        self.detector.lay_out(channels_last=channels_last(trainer.precision, training=False))
        self.frame_size, self._channels = sides(config.data.frame_size), config.data.channels
        self._length = config.task.past + 1
        self.alarm = detector.alarm
        self.fps = detector.trained_fps
        self.detector.begin_test()
        self._streams = 0

    def watch(
        self, stream: Stream, ignored: Tensor | None = None
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

    def begin(self, ignored: Tensor | None = None) -> StreamPast:
        """Begin a stream, which :meth:`score_together` then scores.

        Args:
            ignored: bool (H, W), the pixels of the network's frame whose errors do not count.
        """
        self._streams += 1
        scoring = self.detector.scoring
        return StreamPast(
            self._streams, self._length, self.frame_size, self._channels, scoring, ignored
        )

    def background(self, ignored: Tensor | None = None) -> Background:
        """Begin the background of a stream, by which things that stand still are found.

        Args:
            ignored: bool (H, W), the pixels of the network's frame whose differences do not count.
        """
        return Background(self.frame_size, self.detector.scoring.sizes[0], ignored)

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

    @torch.inference_mode()
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
        streams = torch.tensor([past.number for past, _ in arrived])
        videos = streams.repeat_interleave(torch.tensor(counts))
        self._look_ahead(videos)
        with self._precision():
            found = self.detector.score_frames(torch.cat(windows).to(self.detector.device), videos)
        parts = {name: found[name].split(counts) for name in PER_FRAME}  # type: ignore[literal-required]
        return [
            self._scored(past, pictures, {name: part[place] for name, part in parts.items()})
            for place, (past, pictures) in enumerate(arrived)
        ]

    def _look_ahead(self, videos: Tensor) -> None:
        """Decode at least the next frame of each memory at once: no update concerns another one."""
        memories = len(set(self.detector.guard.memories(videos)))
        frames = max(most_at_once(self.detector.device), memories)
        self.detector.guarded_scoring.lookahead.frames = frames

    def _scored(
        self, past: StreamPast, pictures: Pictures, found: Mapping[str, Tensor]
    ) -> list[ScoredPicture]:
        """Join the last of the pictures with their scores."""
        without_past = len(pictures.rgb) - len(found["psnr"])
        if without_past == len(pictures.rgb):
            return []
        sizes = self.detector.scoring.sizes
        patches, smoothed = past.patches(found)
        frame, picture = self.frame_size, pictures.rgb.shape[2:]
        own, lasting = (errors_of_places(errors, sizes, frame) for errors in (patches, smoothed))
        rows, columns = worst_places(own, lasting, sizes[0], frame).T.tolist()
        places = list(zip(rows, columns, strict=True))
        scores = self.alarm.score(worst_patch(smoothed)).tolist()
        psnr, distance, regular, written = (
            found[name].tolist() for name in ("psnr", "distance", "regular", "written")
        )
        errors = squared_error(past.counted(found), found["target"]).mean(dim=1).cpu()
        return [
            ScoredPicture(
                _moment(pictures, number),
                score=scores[i],
                psnr=psnr[i],
                distance=distance[i],
                regular=regular[i],
                written=written[i],
                box=patch_box(*places[i], sizes[0], frame, picture),
                rgb=pictures.rgb[number],
                error=errors[i],
                regions=partial(self._regions, own[i], lasting[i], picture),
            )
            for i, number in enumerate(range(without_past, len(pictures.rgb)))
        ]

    def _regions(self, own: Tensor, lasting: Tensor, picture: Sequence[int]) -> list[Region]:
        """Find the regions of a picture from its errors of places, (rows, columns) each."""
        size, frame = self.detector.scoring.sizes[0], self.frame_size
        (regions,) = find_regions(own[None], lasting[None], size, frame)
        regions[:, 4] = self.alarm.score(regions[:, 4])
        # NaN where there are fewer
        return [region_in(row, frame, picture) for row in regions.tolist() if row[4] > 0]


def _moment(pictures: Pictures, number: int) -> Moment:
    time = pictures.times[number] if pictures.times else None
    return Moment(pictures.first + number, pictures.seconds[number], time)


def load(checkpoint: Path | str, *, trust: str | Sequence[str] = (), **settings: Any) -> LiveScorer:
    """Load a trained detector, to score videos and streams.

    Args:
        checkpoint: The ``checkpoints/last.ckpt`` of a training run.
        trust: Packages of your own whose classes the checkpoint may name, such as your encoder's.
            They are imported.
        settings: Changes to its configuration, by group: ``guard={"scope": "video"}``.

    Returns:
        A scorer of video files (:meth:`LiveScorer.score`) and of streams
        (:meth:`LiveScorer.watch`).

    Raises:
        CheckpointError: It cannot be read, its alarm is not calibrated or rests on fewer than ten
            frames, or it names a class that is neither memguard's nor of a trusted package.
        ConfigError: A setting cannot work.

    Example:
        >>> import memguard
        >>> scorer = memguard.load("runs/door/checkpoints/last.ckpt")
        >>> table = scorer.score("door/test/0.mp4")
        >>> table.columns[:3]
        ('frame', 'seconds', 'score')
        >>> table["seconds"][:3]
        [0.16, 0.2, 0.24]
    """
    scorer = restored(checkpoint, trust=trust, **settings)
    require_alarm(checkpoint, scorer.alarm)
    return scorer


def require_alarm(checkpoint: Path | str, alarm: Alarm) -> None:
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


def restored(
    checkpoint: Path | str, *, trust: str | Sequence[str] = (), **settings: Any
) -> LiveScorer:
    """Restore a scorer whose alarm may not be calibrated; see :func:`load`."""
    register_resolvers()
    requested = OmegaConf.create(settings)
    trusted = trust_of(requested, trust)
    detector, config = restore(Path(checkpoint), requested, trusted, with_dataset=False)
    return LiveScorer(detector, config)


def changes_of(config: DictConfig) -> dict[str, Any]:
    """Return a command's changes to the settings of a checkpoint, as :func:`load` takes them."""
    groups = OmegaConf.to_container(
        OmegaConf.masked_copy(config, ["guard", "trainer"]), resolve=True
    )
    return {"trust": config.trust or (), **groups}  # type: ignore[dict-item]
