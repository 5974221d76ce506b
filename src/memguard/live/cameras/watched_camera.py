"""A camera of many: its pictures, scores and events, apart from those of all others."""

import logging
import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from functools import cached_property
from math import inf
from pathlib import Path

import torch
from omegaconf import DictConfig

from memguard.data.video.camera import Camera
from memguard.data.video.encoded import EncodedPictures
from memguard.data.video.newest import FEWEST_HELD, NewestPictures
from memguard.data.video.stream import Interruption, Pictures
from memguard.data.video.timing import USUAL_FPS
from memguard.detection.events import ScoredPicture
from memguard.detection.ignored import ignored_places
from memguard.errors import DataError
from memguard.files import clear_unfinished
from memguard.live.cameras.hours import is_within
from memguard.live.cameras.minutes import MinuteScores
from memguard.live.cameras.stored import EndedRecording, StoredBackground, StoredItems
from memguard.live.events.configured import configured_reporter, rate_of_each
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.delivery import Delivery
from memguard.live.notify.notifier import Notifier
from memguard.live.page.status import CameraStatus, State
from memguard.live.reports import BEGIN, SCORED
from memguard.live.scorer import LiveScorer

# Seconds before a source that cannot work is opened again.
RETRY_SECONDS = 60.0

# Seconds over which the rate of scored frames is measured, and between two savings of what a
# restarted process continues from.
RATE_SECONDS, SAVED_EVERY = 10.0, 60.0

# An hourly median beyond these quantiles of calibrated frames says that the scene has changed.
DRIFT_BAND = 0.1, 0.9

# Seconds from the capture of a picture to its score, beyond which its clip may lack a beginning.
LATEST_SECONDS = 10.0

log = logging.getLogger(__name__)


class WatchedCamera:
    """Watch a camera: hold its newest pictures, and report what their scores say.

    A source that breaks off, or cannot be opened at all, is an outage of this camera alone, and is
    tried again for ever. A recording ends.

    Args:
        name: The name of the camera.
        settings: Its settings; see :class:`memguard.config.schema.CameraSettings`.
        scorer: Scores it, perhaps beside other cameras.
        folder: The folder of its output and state.
        deliveries: Where its reports are sent.

    Raises:
        UserError: The mask of ignored places cannot be read, or all of the picture is ignored.

    Attributes:
        name: The name of the camera.
        scorer: Scores it.
        past: Its past in the scorer.
    """

    def __init__(
        self,
        name: str,
        settings: DictConfig,
        scorer: LiveScorer,
        folder: Path,
        deliveries: Sequence[Delivery],
    ) -> None:
        self.name, self.scorer = name, scorer
        ignored = ignored_places(settings.ignored, scorer.frame_size)
        self.past = scorer.begin(ignored)
        self._background = scorer.background(ignored) if settings.standing else None
        self._settings, self._folder = settings, folder
        band = scorer.alarm.normal_scores.quantile(
            torch.tensor(DRIFT_BAND, device=scorer.detector.device)
        )
        self._band = scorer.alarm.score(band).tolist()
        self._notifier = Notifier(
            deliveries, settings.notify.cooldown, settings.notify.most_per_hour
        )
        folder.mkdir(parents=True, exist_ok=True)
        clear_unfinished(folder)
        self._stored: list[StoredItems | StoredBackground] = [
            StoredItems(folder / "items.npz", scorer, self.past.number)
        ]
        if self._background:
            self._stored.append(StoredBackground(folder / "background.npz", self._background))
        self._ended = EndedRecording(folder / "ended.json", str(settings.source))
        self._minutes = MinuteScores(folder / "scores_minutes.csv")
        self._reporter: EventReporter | None = None
        self._state: State = "connecting"
        self._since = datetime.now().astimezone()
        self._scored_at: deque[float] = deque()
        self._last: ScoredPicture | None = None
        self._frames = self._events = self._dropped = self._torn = 0
        self._lag: float | None = None
        self._saved = self._failed = time.monotonic()
        self._source: NewestPictures | None = None
        self._sent = _held_for_clips(settings.events)
        self._waiting: list[Pictures | Interruption] = []
        if self._ended.is_this:
            log.info("%s: this recording has ended already; it is not watched again.", name)
            self._enter("ended")
        else:
            self._open()

    @property
    def ended(self) -> bool:
        """Whether this was a recording, and is over."""
        return self._state == "ended"

    def take(self) -> list[Pictures]:
        """Take pictures that have come, and report what has happened to the source.

        They are few, and as many of each camera on a slow machine: pictures that are so large that
        few are held get their turn among others.
        """
        if self._is_at_rest():
            return []
        if self._source is None:
            if time.monotonic() - self._failed >= RETRY_SECONDS and not self.ended:
                self._open()
            return []
        try:
            self._waiting = self._waiting or self._source.take(0, most=FEWEST_HELD)
        except DataError as error:
            self._fail(str(error))
            return []
        if not self._waiting and self._source.ended:
            self._rest("ended")
            self._close_source()
            self._ended.save()
            log.info("%s: the recording has ended.", self.name)
            return []
        return self._pictures()

    def add(self, scored: Sequence[ScoredPicture]) -> None:
        """Report the scores of its pictures."""
        for each in scored:
            self._frames += 1
            self._last = each
            self._scored_at.append(time.monotonic())
            self._minutes.add(each.score, each.moment.time or datetime.now().astimezone())
            reports = self._reports.add(each)
            self._events += sum(r.kind in SCORED and r.state == BEGIN for r in reports)
        if scored and self._source:
            self._enter("watching")
            lag = self._source.seconds - scored[-1].moment.seconds
            self._lag = None if self._source.is_film else lag

    def tick(self) -> None:
        """Do what is due without pictures: remind of what lasts, and save items and background."""
        if self._reporter:
            self._reporter.remind()
        if time.monotonic() - self._saved >= SAVED_EVERY:
            self._saved = time.monotonic()
            self._save()

    def close(self) -> None:
        """End the source, and save all that a restarted process continues from."""
        if self._source:
            self._source.close()
        if self._reporter:
            self._reporter.close()
        self._minutes.write()
        self._save()

    def status(self) -> CameraStatus:
        """Return the present status."""
        now, hourly = time.monotonic(), self._minutes.hourly
        while self._scored_at and now - self._scored_at[0] > RATE_SECONDS:
            self._scored_at.popleft()
        low, high = self._band
        source, last = self._source, self._last if self._state == "watching" else None
        return CameraStatus(
            name=self.name,
            state=self._state,
            since=self._since,
            refreshed=datetime.now().astimezone(),
            fps=len(self._scored_at) / RATE_SECONDS if self._scored_at else None,
            score=last and last.score,
            level=self._reporter.level if self._reporter else self._level,
            lag=self._lag if last else None,
            frames=self._frames,
            dropped=self._dropped + (source.dropped if source else 0),
            torn=self._torn + (source.torn if source else 0),
            events=self._events,
            held_back=self._notifier.held_back,
            drift=hourly,
            recalibrate=hourly is not None and not low <= hourly <= high,
        )

    def _save(self) -> None:
        for stored in self._stored:
            stored.save()

    def _open(self) -> None:
        try:
            camera = Camera(str(self._settings.source), self.scorer.fps, self._sent, self.name)
            self._source = NewestPictures(camera)
        except DataError as error:
            self._fail(str(error))

    def _is_at_rest(self) -> bool:
        """Return whether it is outside hours; the camera is not connected then."""
        if is_within(self._settings.hours, datetime.now()):
            return False
        if self._state != "ended":
            self._rest("outside hours")
            self._close_source()
            self._failed = -inf  # it is opened as soon as its hours begin
        return True

    def _fail(self, reason: str) -> None:
        """Report a source that cannot work, and try it again later."""
        log.error("%s: %s; trying again in %.0f s", self.name, reason, RETRY_SECONDS)
        self._interrupt(Interruption(self._last.moment.seconds if self._last else 0.0, reason))
        self._close_source()
        self._failed = time.monotonic()

    def _close_source(self) -> None:
        """Close the source, and keep its counts."""
        if self._source:
            self._source.close()
            self._dropped += self._source.dropped
            self._torn += self._source.torn
        self._source, self._waiting = None, []

    def _pictures(self) -> list[Pictures]:
        """Return the pictures up to the next interruption, whose report follows their scores."""
        pictures: list[Pictures] = []
        for number, item in enumerate(self._waiting):
            if isinstance(item, Pictures):
                pictures.append(item)
            elif pictures:
                self._waiting = self._waiting[number:]
                return pictures
            else:
                self._interrupt(item)
        self._waiting = []
        return pictures

    def _interrupt(self, interruption: Interruption) -> None:
        self.past.forget()
        self._reports.interrupt(interruption)
        self._enter("outage")

    def _rest(self, state: State) -> None:
        """Enter a state in which no pictures are scored, and end the events that last."""
        if state != self._state:
            self.past.forget()
            self._last = None
            if self._reporter:
                self._reporter.rest()
        self._enter(state)

    def _enter(self, state: State) -> None:
        if state != self._state:
            self._state, self._since = state, datetime.now().astimezone()

    @property
    def _fps(self) -> float:
        """Frames per second: those of the training, or of the camera where they are unknown."""
        return self.scorer.fps or (self._source and self._source.camera_fps) or USUAL_FPS

    @cached_property
    def _level(self) -> float:
        """The alarm level until the reporter has one."""
        return self.scorer.alarm.level(rate_of_each(self._settings), self._fps)

    @property
    def _reports(self) -> EventReporter:
        """The reporter, made once the rate of the camera is known."""
        if self._reporter is None:
            self._reporter = self._made_reporter()
        return self._reporter

    def _made_reporter(self) -> EventReporter:
        return configured_reporter(
            self.name,
            self._folder,
            self._settings,
            self.scorer,
            self._fps,
            self._notifier,
            live=True,
            continues=True,
            background=self._background,
            sent=self._sent,
        )


def _held_for_clips(events: DictConfig) -> EncodedPictures | None:
    """Make room for the pictures that a clip begins with, unless there are no clips."""
    if events.clip is None:
        return None
    return EncodedPictures(events.clip + events.shortest + LATEST_SECONDS)
