"""The reporter of a camera or video as its settings describe it."""

from functools import partial
from pathlib import Path

from omegaconf import DictConfig

from memguard.data.video.encoded import EncodedPictures
from memguard.detection.events import EventStream
from memguard.live.events.event_files import EventFiles, Keeping
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.notifier import Notifier
from memguard.live.standing import Background, StandingWatch
from memguard.live.stream_scorer import StreamScorer


def rate_of_each(settings: DictConfig) -> float:
    """Return the false alarms per hour that each score may have: two scores share those promised.

    Args:
        settings: With ``standing`` and ``alarm.false_per_hour``, of a command or of a camera.
    """
    promised: float = settings.alarm.false_per_hour
    return promised / 2 if settings.standing else promised


def configured_reporter(
    name: str,
    folder: Path,
    settings: DictConfig,
    scorer: StreamScorer,
    fps: float,
    notifier: Notifier,
    *,
    live: bool,
    continues: bool = False,
    background: Background | None = None,
    sent: EncodedPictures | None = None,
) -> EventReporter:
    """Build a reporter from the settings ``alarm``, ``events``, ``conditions`` and ``standing``.

    Args:
        name: The name of the camera or video.
        folder: The folder of its output.
        settings: Of a command or of a camera.
        scorer: Scores the stream; its checkpoint has the alarms and the reference of conditions.
        fps: Frames per second of the stream.
        notifier: Sends reports.
        live: See :class:`EventReporter`.
        continues: See :class:`EventReporter`.
        background: Of the camera; None: things that stand still are not reported.
        sent: The pictures as the camera sends them; None: clips are encoded.
    """
    events = settings.events
    keeping = Keeping(
        events.snapshots, events.clip, events.keep_days, events.keep_gigabytes, events.shortest
    )
    per_hour = rate_of_each(settings)
    conditions = standing = None
    reference = scorer.reference
    if settings.conditions and reference and reference.learned:
        from memguard.live.conditions import ConditionWatch  # on PyTorch, as the reference is

        conditions = ConditionWatch(reference, scorer.fps or fps)
    if background and scorer.standing:
        standing = StandingWatch(background, scorer.standing, per_hour, fps, events.longest)
    level = scorer.alarm.level(per_hour, fps)
    return EventReporter(
        name,
        folder,
        EventStream(level, events.longest),
        partial(scorer.alarm.per_hour, fps=fps),
        EventFiles(folder / "events", keeping, sent),
        notifier,
        live=live,
        conditions=conditions,
        standing=standing,
        shortest=events.shortest,
        continues=continues,
    )
