"""What is found of a stream, written as it comes, so that no end of the command loses it."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from memguard.detection.alarm import Alarm
from memguard.detection.events import COLUMNS, Event, EventStream, ScoredPicture
from memguard.errors import DataError
from memguard.files import written_whole
from memguard.live.annotate import AnnotatedVideo
from memguard.report.plots.stream import stream_timeline
from memguard.report.results import write_json
from memguard.report.rows import Rows, not_written

NOT_ENDED, STOPPED, WHOLE = "not ended", "stopped", "whole"

# The timeline shows the highest score of each of so many stretches; more are no wider on paper.
STRETCHES = 2000


@dataclass(frozen=True)
class Summary:
    """What was found of a stream, in short.

    Attributes:
        name: Of the stream.
        frames: How many were scored.
        events: How many there were.
        highest: The highest score.
        level: Of the alarm.
        ended: ``whole``, ``stopped`` by somebody, what went wrong, or ``not ended``.
    """

    name: str
    frames: int
    events: int
    highest: float
    level: float
    ended: str


class Findings:
    """Writes what is found of a stream into a folder.

    ``scores.csv`` grows row by row, ``events.json`` and ``events.csv`` are there from the beginning
    and written again after each event, and ``timeline.png`` comes at the end.

    Args:
        folder: Where to.
        name: Of the stream.
        fps: Its frames per second.
        alarm: What the level follows from.
        per_hour: False alarms an hour that are put up with.
        annotate: Whether to write ``annotated.mp4`` as well.

    Raises:
        DataError: A file cannot be written, or there are scores in the folder already.

    Attributes:
        ended: How it ended; see :class:`Summary`.
        events: Those that have ended.
    """

    def __init__(
        self, folder: Path, name: str, fps: float, alarm: Alarm, per_hour: float, annotate: bool
    ) -> None:
        self._rows = Rows(folder / "scores.csv", ("video", *COLUMNS))
        self._folder, self._name, self._fps = folder, name, fps
        self._alarm, self._per_hour = alarm, per_hour
        self._level = alarm.level(per_hour, fps)
        self._began = datetime.now().astimezone()
        self._frames, self._highest = 0, float("nan")
        self._stream = EventStream(self._level)
        self._annotated: AnnotatedVideo | None = None
        self.ended = NOT_ENDED
        self.events: list[Event] = []
        self._write("events.json", self._write_events)
        if annotate:
            self._write("annotated.mp4", self._begin_annotated)

    def add(self, scored: ScoredPicture) -> None:
        """Take the next picture.

        Raises:
            DataError: A file cannot be written. The rows before it are whole.
        """
        numbers = (f"{x:.8g}" if isinstance(x, float) else x for x in scored.row())
        self._rows.add((self._name, *numbers))
        self._frames += 1
        self._highest = float(np.fmax(self._highest, scored.score))
        if ended := self._stream.add(scored.moment, scored.score, scored.box):
            self.events.append(ended)
            self._write("events.json", self._write_events)
        if annotated := self._annotated:
            self._write("annotated.mp4", lambda: annotated.add(scored))

    def close(self) -> None:
        """Write what is known only at the end, as far as that can be written.

        A file that cannot be is named in ``ended``, unless that says something worse.
        """
        if ended := self._stream.finish():
            self.events.append(ended)
        if self._annotated:
            self._attempt("annotated.mp4", self._annotated.close)
        self._rows.release()
        if self._rows.exists:  # else nothing is wanted here any more
            self._attempt("events.json", self._write_events)
            self._attempt("timeline.png", self._draw_timeline)

    def _attempt(self, name: str, write: Callable[[], None]) -> None:
        """Write a file, or note why it could not be."""
        try:
            self._write(name, write)
        except DataError as error:
            if self.ended in (STOPPED, WHOLE):
                self.ended = str(error)
                self._attempt("events.json", self._write_events)

    def _write(self, name: str, write: Callable[[], None]) -> None:
        try:
            write()
        except OSError as error:
            raise not_written(self._folder / name, error) from None

    def _begin_annotated(self) -> None:
        error = self._alarm.error(self._level)
        path = self._folder / "annotated.mp4"
        self._annotated = AnnotatedVideo(path, self._fps, self._level, error)

    def _draw_timeline(self) -> None:
        seconds, score = _highest_of_stretches(self._folder / "scores.csv", self._frames)
        spans = [(event.start.seconds, event.end.seconds) for event in self.events]
        figure = stream_timeline(self._name, seconds, score, self._level, spans)
        with written_whole(self._folder / "timeline.png") as unfinished:
            figure.savefig(unfinished)

    @property
    def count(self) -> int:
        """How many events there are, one that has not ended included."""
        return len(self.events) + (self._stream.open is not None)

    def summary(self) -> Summary:
        """Say in short what was found."""
        return Summary(self._name, self._frames, self.count, self._highest, self._level, self.ended)

    def _write_events(self) -> None:
        rows = [self._described(event) for event in self.events]
        held_out, peaks = self._alarm.rests_on
        content = {
            "video": self._name,
            "began": self._began.isoformat(timespec="seconds"),
            "ended": self.ended,
            "fps": self._fps,
            "frames": self._frames,
            "level": self._level,
            "false_per_hour": self._per_hour,
            "held_out_frames": held_out,
            "held_out_peaks": peaks,
            "events": rows,
        }
        with written_whole(self._folder / "events.json") as unfinished:
            write_json(unfinished, content)
        with (
            written_whole(self._folder / "events.csv") as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, EVENT_COLUMNS)
            writer.writeheader()
            writer.writerows(rows)

    def _described(self, event: Event) -> dict[str, Any]:
        moments = (event.start, event.end, event.peak)
        times = [value for moment in moments for value in (moment.frame, moment.seconds)]
        expected = self._alarm.per_hour(event.score, self._fps)
        values = (*times, event.score, expected, *event.box)
        return dict(zip(EVENT_COLUMNS, values, strict=True))


EVENT_COLUMNS = (
    "start_frame", "start_seconds", "end_frame", "end_seconds", "peak_frame", "peak_seconds",
    "peak_score", "normal_per_hour", "left", "top", "right", "bottom",
)  # fmt: skip


def print_findings(found: Sequence[Summary], folder: Path) -> None:
    """Print a line for each stream, and where the files are; nothing where no stream was opened."""
    if not found:
        return
    console = Console(markup=False)  # names of files may have brackets
    table = Table(title="What was found", title_justify="left")
    table.add_column("video")
    for column in ("frames", "events", "highest score", "alarm level", "ended"):
        table.add_column(column, justify="right")
    for summary in found:
        highest = f"{summary.highest:.2f}" if summary.frames else "–"
        numbers = highest, f"{summary.level:.2f}"
        ended = summary.ended if summary.ended in (STOPPED, WHOLE) else "an error"
        table.add_row(summary.name, str(summary.frames), str(summary.events), *numbers, ended)
    console.print(table)
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".csv", ".json", ".png", ".mp4"):
            console.print(str(path), soft_wrap=True, highlight=False)


def _highest_of_stretches(path: Path, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Read scores back, (stretches,) seconds and the highest score, without keeping all of them."""
    length = max(-(-frames // STRETCHES), 1)
    highest: dict[int, tuple[float, float]] = {}
    for number, (seconds, score) in enumerate(_read_scores(path)):
        place = number // length
        if place not in highest or score > highest[place][1]:
            highest[place] = (seconds, score)
    table = np.array(list(highest.values())).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _read_scores(path: Path) -> Iterator[tuple[float, float]]:
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            yield float(row["seconds"]), float(row["score"])
