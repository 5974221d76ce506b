"""Live scoring by a checkpoint's network, on PyTorch; see :mod:`memguard.live.stream_scorer`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from memguard.config.compose import register_resolvers
from memguard.config.trust import trust_of
from memguard.data.video.frame_size import sides
from memguard.detection.alarm import Alarm, OptionalAlarm
from memguard.detection.detector import Detector
from memguard.detection.lookahead import most_at_once
from memguard.detection.reference import Reference
from memguard.live.stream_scorer import FEWEST_FRAMES as FEWEST_FRAMES
from memguard.live.stream_scorer import ScoredFrames, StreamScorer, require_alarm
from memguard.model.folding import fold_batch_norm
from memguard.model.layout import channels_last
from memguard.scoring import squared_error
from memguard.training.trained import restore

# The values of each frame, beside the errors of its pixels.
PER_FRAME = ("psnr", "distance", "regular", "written", "patch")


class LiveScorer(StreamScorer):
    """Score streams by a trained detector; see :class:`StreamScorer`.

    Args:
        detector: A trained detector with a calibrated alarm.
        config: The configuration of its training.

    Attributes:
        detector: The detector, on its device.

    Example:
        >>> from memguard.data.video.stream import VideoStream
        >>> scorer = load("runs/door/checkpoints/last.ckpt")
        >>> scored = next(scorer.watch(VideoStream(Path("door/test/0.mp4"))))
        >>> scored.moment.frame, scored.moment.seconds
        (4, 0.16)
    """

    alarm: Alarm

    def __init__(self, detector: Detector, config: DictConfig) -> None:
        trainer = config.trainer
        # Lightning announces each precision but the usual one.
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        fabric = Fabric(accelerator=trainer.accelerator, precision=trainer.precision, devices=1)
        self._precision = fabric.autocast
        self.detector = detector.to(fabric.device).eval()
        fold_batch_norm(self.detector)
        self.detector.lay_out(channels_last=channels_last(trainer.precision, training=False))
        self.detector.begin_test()
        super().__init__(
            length=config.task.past + 1,
            frame_size=sides(config.data.frame_size),
            channels=config.data.channels,
            sizes=detector.scoring.sizes,
            smoothing=detector.scoring.smoothing,
            alarm=detector.alarm,
            fps=detector.trained_fps,
        )

    @property
    def standing(self) -> OptionalAlarm:
        """The alarm of things that stand still; a calibration replaces it."""
        return self.detector.standing

    @property
    def reference(self) -> Reference:
        """The look of normal pictures."""
        return self.detector.reference

    @torch.inference_mode()
    def score_windows(self, windows: np.ndarray, streams: Sequence[int]) -> ScoredFrames:
        """Score windows, and update the memory; see :meth:`StreamScorer.score_windows`."""
        videos = torch.tensor(streams)
        self._look_ahead(videos)
        clips = torch.from_numpy(windows).movedim(-1, 2).to(self.detector.device)
        with self._precision():
            found = self.detector.score_frames(clips, videos)
        error = squared_error(found["output"], found["target"]).mean(dim=1)
        values = (*(found[name] for name in PER_FRAME), error)  # type: ignore[literal-required]
        return ScoredFrames(*(value.cpu().numpy() for value in values))

    def _look_ahead(self, videos: Tensor) -> None:
        """Decode at least the next frame of each memory at once: no update concerns another one."""
        memories = len(set(self.detector.guard.memories(videos)))
        frames = max(most_at_once(self.detector.device), memories)
        self.detector.guarded_scoring.lookahead.frames = frames


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
