"""Report the events of a camera: when they begin, every minute while they last, and at the end."""

import re
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from memguard.data.video.stream import Interruption
from memguard.detection.events import Box, Event, EventStream, Moment, ScoredPicture
from memguard.live.events.event_files import EventFiles
from memguard.live.events.journal import CameraState, Journal
from memguard.live.events.moments import Moments
from memguard.live.notify.notifier import Notifier
from memguard.live.reports import (
    ANOMALY,
    BEGIN,
    CONDITION,
    END,
    ONGOING,
    OUTAGE,
    SCORED,
    STANDING,
    Condition,
    Kind,
    Report,
    fields_of,
    named,
)
from memguard.live.standing import StandingWatch

if TYPE_CHECKING:
    from memguard.live.conditions import ConditionWatch

# An event that lasts is reported again after so many seconds.
REMINDER = 60.0
# An event that lasts is saved as often, seconds: a process that is killed loses no more of it.
SAVED_EVERY = 5.0
# An event of an earlier process continues if its state is at most so many seconds old.
CONTINUED = 60.0 + SAVED_EVERY


class EventReporter:
    """Report the events of a camera or video to a journal and to a notifier.

    Args:
        name: The name of the camera or video.
        folder: The folder of ``events.jsonl``, and of ``state.json`` if the camera continues.
        stream: Joins frames to events.
        per_hour: Estimates how often per hour normal video has a score.
        files: Writes snapshots and clips.
        notifier: Sends reports.
        live: Whether this is a camera, whose frames have a time of day.
        conditions: Recognises conditions of the camera; None: none is reported.
        standing: Scores the things that stand still; None: they are not reported.
        shortest: The duration from which an event is reported, seconds.
        continues: Whether a restarted process continues the camera: the numbers of its frames and
            events, its seconds, and its open events.

    Attributes:
        open: The last report of each event that has not ended, by kind.
        held_back: The number of frames above the level while a condition lasted.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        stream: EventStream,
        per_hour: Callable[[float], float],
        files: EventFiles,
        notifier: Notifier,
        *,
        live: bool,
        conditions: "ConditionWatch | None" = None,
        standing: StandingWatch | None = None,
        shortest: float = 0.0,
        continues: bool = False,
    ) -> None:
        self._name, self._conditions, self._standing = name, conditions, standing
        self._streams, self._per_hour = {ANOMALY: stream}, {ANOMALY: per_hour}
        if standing:
            self._streams[STANDING], self._per_hour[STANDING] = standing.stream, standing.per_hour
        self._shortest = shortest
        self._files, self._notifier, self._continues = files, notifier, continues
        state = folder / "state.json" if continues else None
        self._journal = Journal(folder / "events.jsonl", state)
        self.open: dict[Kind, Report] = {}
        self._reported: dict[Kind, float] = {}
        self._number, self._saved, self.held_back = 0, 0.0, 0
        self._rest_begins = False
        self._sign: Condition | None = None
        self._moments = Moments(live=live)
        if saved := self._journal.read_state():
            self._continue(saved, live)

    @property
    def level(self) -> float:
        """The score above which there is an alarm."""
        return self._streams[ANOMALY].level

    def add(self, scored: ScoredPicture) -> list[Report]:
        """Add the next picture, and return the reports that it causes."""
        moment = self._moments.place(scored.moment)
        self._files.add(moment, scored.rgb, scored.moment.seconds)
        if self._rest_begins:
            self._clip_rest(moment)
        reports = self._end(OUTAGE, moment)
        if self._conditions:
            self._sign = self._conditions.add(scored.rgb, moment.seconds)
            reports += self._condition(self._sign and self._sign.sentence)
        if CONDITION in self.open:
            self.held_back += scored.score > self.level
            return reports + self.remind()
        reports += self._join(ANOMALY, moment, scored.score, scored.box, scored.rgb)
        if self._standing:
            if stands := self._standing.add(scored.rgb, moment.seconds):
                reports += self._join(STANDING, moment, stands.score, stands.box, scored.rgb)
            else:
                self._standing.stream.skip(moment)
        return reports + self.remind()

    def interrupt(self, interruption: Interruption) -> list[Report]:
        """End all that lasts, begin an outage, and return the reports."""
        if OUTAGE in self.open:
            return []
        moment = self._moments.at(interruption.seconds)
        reports = [report for kind in list(self.open) for report in self._end(kind, moment)]
        self._forget()
        fields = named("start", moment) | named("end", moment)
        return [*reports, self._begin(OUTAGE, fields | {"reason": interruption.reason})]

    def rest(self) -> list[Report]:
        """End what lasts but an outage, as no scores follow, and return the reports."""
        now = self._moments.now()
        kinds = (CONDITION, *SCORED)
        reports = [report for kind in kinds for report in self._end(kind, now)]
        self._forget()
        return reports

    def remind(self) -> list[Report]:
        """Report what lasts a minute after its last report, and return the reports.

        :meth:`add` does so as well; call this where no pictures come.
        """
        now = self._moments.now()
        if now.seconds - self._saved >= (SAVED_EVERY if self.open else REMINDER):
            self._save()
        due = [kind for kind, at in self._reported.items() if now.seconds - at >= REMINDER]
        return [
            self._report(self.open[kind].after(ONGOING, **self._so_far(kind, now))) for kind in due
        ]

    def close(self) -> list[Report]:
        """End all that lasts, unless a later process continues it, and return the reports."""
        ended = [] if self._continues else list(self.open)
        reports = [report for kind in ended for report in self._end(kind, self._moments.now())]
        self._save()
        self._journal.close()
        self._files.close()
        return reports

    def _join(
        self, kind: Kind, moment: Moment, score: float, box: Box, rgb: np.ndarray
    ) -> list[Report]:
        """Join the next score of a kind to its events, and return the reports."""
        stream = self._streams[kind]
        reports: list[Report] = []
        ended = stream.add(moment, score, box)
        if ended and kind in self.open:
            reports.append(self._report(self.open[kind].after(END, **self._fields(kind, ended))))
        event = stream.open
        if event and event.peak is moment:
            self._files.peak(kind, rgb, box)
        if event and kind not in self.open and self._lasts(event):
            reports.append(self._begin(kind, self._fields(kind, event)))
        return reports

    def _forget(self) -> None:
        """Forget events that were too short so far, and the background."""
        for stream in self._streams.values():
            stream.finish()
        if self._standing:
            self._standing.forget()

    def _condition(self, reason: str | None) -> list[Report]:
        """Begin a condition of the camera, or end it, and return the reports.

        Events of scores are held back while it lasts.

        Args:
            reason: The condition, one sentence; None: there is none.
        """
        if CONDITION in self.open and self.open[CONDITION].reason == reason:
            return []
        now = self._moments.now()
        if reason is None:
            return self._end(CONDITION, now)
        reports = self.rest()
        fields = named("start", now) | named("end", now)
        return [*reports, self._begin(CONDITION, fields | {"reason": reason})]

    def _lasts(self, event: Event) -> bool:
        """Return whether an event has lasted long enough to report it."""
        return event.end.seconds - event.start.seconds >= self._shortest

    def _begin(self, kind: Kind, fields: dict[str, Any]) -> Report:
        self._number += 1
        day = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        name = re.sub(r"[^\w.-]", "_", f"{self._name}-{day}-{self._number}")
        clip = self._files.begin(name, fields["start_seconds"]) if kind == ANOMALY else None
        report = Report(id=name, camera=self._name, kind=kind, state=BEGIN, clip=clip, **fields)
        return self._report(report)

    def _clip_rest(self, moment: Moment) -> None:
        """Begin a clip of the rest of an event that continues from an earlier process."""
        self._rest_begins, report = False, self.open[ANOMALY]
        name = f"{report.id}-{len(report.clips) + 1}" if report.clips else report.id
        if path := self._files.begin(name, moment.seconds):
            self.open[ANOMALY] = report.with_clips([*report.clips, path])
            self._save()  # the next process must not write over it

    def _end(self, kind: Kind, moment: Moment) -> list[Report]:
        """End an event, if it lasts."""
        if kind not in self.open:
            return []
        fields = self._so_far(kind, moment)
        if kind in self._streams:
            self._streams[kind].finish()
        return [self._report(self.open[kind].after(END, **fields))]

    def _so_far(self, kind: Kind, moment: Moment) -> dict[str, Any]:
        """Return the fields that change while an event lasts."""
        if kind in self._streams and (event := self._streams[kind].open):
            return self._fields(kind, event)
        return named("end", moment)

    def _fields(self, kind: Kind, event: Event) -> dict[str, Any]:
        return fields_of(event, self._per_hour[kind](event.score))

    def _report(self, report: Report) -> Report:
        """Write and send a report.

        The state has an event before its first line and until after its last: an event whose
        process is killed in between is reported again, with its id.
        """
        changes: dict[str, Any] = {"notified": self._notifier.allows(report)}
        if report.kind in SCORED:
            changes["snapshot"] = self._files.snapshot(report.kind, report.id)
        if report.kind == ANOMALY and report.state == END:
            self._rest_begins = False  # the camera may have been off since the restart
            report = report.with_clips(self._files.end(report.end_seconds, report.clips))
        report = report.after(report.state, **changes)
        self.open[report.kind] = report
        self._reported[report.kind] = self._moments.now().seconds
        self._save()
        self._journal.add(report)
        self._notifier.send(report)
        if report.state == END:
            del self.open[report.kind], self._reported[report.kind]
            self._save()
        return report

    def _save(self) -> None:
        """Save the state, if a later process continues from it."""
        if not self._continues:
            return
        now = self._moments.now()
        self._saved = now.seconds
        self._journal.save(
            CameraState(
                number=self._number,
                frame=now.frame,
                seconds=now.seconds,
                time=datetime.now().astimezone(),
                open=[self._progress(report, now) for report in self.open.values()],
                condition=self._sign if CONDITION in self.open else None,
            )
        )

    def _progress(self, report: Report, moment: Moment) -> Report:
        """Return an open event as it is at this moment, with the snapshot of its peak so far."""
        if report.state == END:
            return report
        changes = self._so_far(report.kind, moment)
        if report.kind in SCORED:
            changes["snapshot"] = self._files.snapshot(report.kind, report.id)
        return report.after(report.state, **changes)

    def _continue(self, state: CameraState, live: bool) -> None:
        """Continue the camera of an earlier process."""
        absent = max((datetime.now().astimezone() - state.time).total_seconds(), 0.0)
        seconds = state.seconds + absent
        self._moments = Moments(live=live, frame=state.frame + 1, seconds=seconds)
        self._number, self._saved = state.number, seconds
        self.open = {report.kind: report.without_lost_clip() for report in state.open}
        self._reported = dict.fromkeys(self.open, seconds)
        for kind in self._streams.keys() & self.open.keys():
            self._streams[kind].open = self.open[kind].event()
            self._streams[kind].skip(self._moments.last)  # no frame has come meanwhile
        self._sign = state.condition
        watched = {OUTAGE, *self._streams} | ({CONDITION} if self._conditions else set())
        for kind, report in list(self.open.items()):
            is_over = absent > CONTINUED and kind != OUTAGE
            if report.state == END or is_over or kind not in watched:
                self._end(kind, report.moment("end"))
        if self._conditions and self._sign and CONDITION in self.open:
            self._conditions.restore(self._sign, seconds)
        self._rest_begins = ANOMALY in self.open
