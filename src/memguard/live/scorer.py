"""Causal scoring of endless streams: each frame from the past alone, in bounded memory."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from memguard.config.compose import register_resolvers
from memguard.config.trust import trust_of
from memguard.data.video.frame_size import sides
from memguard.data.video.reader import fit
from memguard.data.video.stream import Pictures, Stream, VideoStream
from memguard.detection.detector import Detector
from memguard.detection.events import COLUMNS, Moment, ScoredPicture
from memguard.errors import CheckpointError
from memguard.report.table import Table
from memguard.scoring import CausalSmoother, patch_box, squared_error, worst_places
from memguard.training.trained import require_working, restore

log = logging.getLogger(__name__)


class LiveScorer:
    """Score streams by the patch with the largest error, smoothed over the past.

    Args:
        detector: A trained detector with a calibrated alarm.
        config: The configuration of its training.

    Attributes:
        detector: The detector, on its device.
        alarm: The detector's alarm, which gives the level of events.

    Example:
        >>> scorer = load("runs/door/checkpoints/last.ckpt")
        >>> scored = next(scorer.watch(VideoStream(Path("door/test/0.mp4"))))
        >>> scored.moment
        Moment(frame=4, seconds=0.16)
    """

    def __init__(self, detector: Detector, config: DictConfig) -> None:
        trainer = config.trainer
        # Lightning announces each precision but the usual one.
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        fabric = Fabric(accelerator=trainer.accelerator, precision=trainer.precision, devices=1)
        self._precision = fabric.autocast
        self.detector = detector.to(fabric.device).eval()
        self._size, self._channels = sides(config.data.frame_size), config.data.channels
        self._length = config.task.past + 1
        self.alarm = detector.alarm
        self.detector.begin_test()
        self._videos = 0

    def watch(self, stream: Stream) -> Iterator[ScoredPicture]:
        """Score a stream's pictures one by one; the first few have no past and get no score.

        A stream that ends without any score is warned of.
        """
        self._videos += 1
        read, is_scored = 0, False
        past = torch.empty(0)
        smoother = CausalSmoother(self.detector.scoring.smoothing)
        for pictures in stream:
            stored = pictures.rgb.permute(0, 2, 3, 1).numpy()
            frames = fit(stored, frame_size=self._size, channels=self._channels)
            if not pictures.follows:
                past = frames[:0]
                smoother = CausalSmoother(self.detector.scoring.smoothing)
            known = torch.cat([past, frames])
            read += len(frames)
            past = known[max(len(known) - self._length + 1, 0) :]
            if len(known) >= self._length:
                is_scored = True
                yield from self._score(known, pictures, smoother)
        if not is_scored:
            log.warning(
                "%s: no frame is scored, as each score needs %d frames in a row, and there are %d.",
                stream.name, self._length, read,
            )  # fmt: skip

    def score(self, video: Path | str) -> Table:
        """Score a video file.

        Returns:
            A row per scored frame, under the columns :data:`COLUMNS`.

        Raises:
            DataError: The video cannot be read.
        """
        stream = VideoStream(Path(video))
        return Table(COLUMNS, [scored.row() for scored in self.watch(stream)])

    @torch.inference_mode()
    def _score(
        self, known: Tensor, pictures: Pictures, smoother: CausalSmoother
    ) -> list[ScoredPicture]:
        """Score those of the pictures that have a past among the known frames."""
        clips = known.unfold(0, self._length, 1).movedim(-1, 1)
        patch = self.detector.scoring.patch
        with self._precision():
            found = self.detector.score_frames(
                clips.to(self.detector.device), torch.full((len(clips),), self._videos)
            )
        patches = found["patch"].cpu()
        smoothed = smoother(patches)
        worst = smoothed.flatten(1).amax(dim=1)
        frame, picture = self._size, pictures.rgb.shape[2:]
        rows, columns = worst_places(patches, smoothed, patch, frame).T.tolist()
        places = list(zip(rows, columns, strict=True))
        scores = self.alarm.score(worst).tolist()
        psnr, distance, regular, written = (
            found[name].tolist() for name in ("psnr", "distance", "regular", "written")
        )
        errors = squared_error(found["output"], found["target"]).mean(dim=1).cpu()
        without_past = len(pictures.rgb) - len(clips)
        return [
            ScoredPicture(
                Moment(pictures.first + number, pictures.seconds[number]),
                score=scores[i],
                psnr=psnr[i],
                distance=distance[i],
                regular=regular[i],
                written=written[i],
                box=patch_box(*places[i], patch, frame, picture),
                rgb=pictures.rgb[number],
                error=errors[i],
            )
            for i, number in enumerate(range(without_past, len(pictures.rgb)))
        ]


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
        CheckpointError: It cannot be read, its alarm is not calibrated, or it names a class that is
            neither memguard's nor of a trusted package.
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
    register_resolvers()
    requested = OmegaConf.create(settings)
    trusted = trust_of(requested, trust)
    detector, config = restore(Path(checkpoint), requested, trusted, with_dataset=False)
    if not detector.alarm.calibrated:
        raise CheckpointError(
            f"{checkpoint} does not know the scores of normal video: it was imported, stopped "
            "within its first epoch, trained by an earlier version, or with data.holdout=0: resume "
            "its training, or train again with data.holdout=0.05 or more; memguard.evaluate takes "
            "it without."
        )
    require_working(Path(checkpoint), config, requested)
    return LiveScorer(detector, config)
