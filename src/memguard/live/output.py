"""The output of a stream: each frame is on disk at once, however the command ends."""

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

NOT_ENDED, STOPPED, WHOLE, TOO_SHORT = "not ended", "stopped", "whole", "too short"
WITHOUT_ERROR = (STOPPED, WHOLE, TOO_SHORT)

# The timeline shows the highest score of each stretch; paper has no room for more stretches.
STRETCHES = 2000


@dataclass(frozen=True)
class Summary:
    """The summary of a stream.

    Attributes:
        name: The name of the stream.
        frames: The number of scored frames.
        events: The number of events.
        highest: The highest score.
        level: The score above which there is an alarm.
        ended: ``whole``, ``too short`` for a score, ``stopped`` by the user, an error, or ``not
            ended``.
    """

    name: str
    frames: int
    events: int
    highest: float
    level: float
    ended: str


class StreamOutput:
    """Write the scores and events of a stream into a folder.

    ``scores.csv`` grows row by row, ``events.json`` and ``events.csv`` exist from the beginning and
    are written again after each event, and ``timeline.png`` follows at the end.

    Args:
        folder: The folder.
        name: The name of the stream.
        fps: The frames per second of the stream.
        alarm: The calibrated alarm, which gives the level.
        per_hour: The accepted number of false alarms per hour.
        annotate: Whether to write ``annotated.mp4`` as well.

    Raises:
        DataError: A file cannot be written, or the folder has scores already.

    Attributes:
        ended: The end of the stream; see :class:`Summary`.
        events: The events that have ended.
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
        """Write the next picture.

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
        """Write the files of the end, as far as possible.

        ``ended`` names a file that cannot be written, unless it names an earlier error.
        """
        if ended := self._stream.finish():
            self.events.append(ended)
        if self._annotated:
            self._attempt("annotated.mp4", self._annotated.close)
        self._rows.release()
        if self._rows.exists:  # else the user has removed the folder
            self._attempt("events.json", self._write_events)
            self._attempt("timeline.png", self._draw_timeline)

    def _attempt(self, name: str, write: Callable[[], None]) -> None:
        """Write a file, or record its error in ``ended``."""
        try:
            self._write(name, write)
        except DataError as error:
            if self.ended in WITHOUT_ERROR:
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
        """The number of events, including one that has not ended."""
        return len(self.events) + (self._stream.open is not None)

    def summary(self) -> Summary:
        """Summarise the stream."""
        return Summary(self._name, self._frames, self.count, self._highest, self._level, self.ended)

    def _write_events(self) -> None:
        rows = [self._row(event) for event in self.events]
        held_out, peaks = self._alarm.sample_counts
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

    def _row(self, event: Event) -> dict[str, Any]:
        moments = (event.start, event.end, event.peak)
        times = [value for moment in moments for value in (moment.frame, moment.seconds)]
        expected = self._alarm.per_hour(event.score, self._fps)
        values = (*times, event.score, expected, *event.box)
        return dict(zip(EVENT_COLUMNS, values, strict=True))


EVENT_COLUMNS = (
    "start_frame", "start_seconds", "end_frame", "end_seconds", "peak_frame", "peak_seconds",
    "peak_score", "normal_per_hour", "left", "top", "right", "bottom",
)  # fmt: skip


def print_summaries(streams: Sequence[Summary], folder: Path) -> None:
    """Print a row per stream, and the paths of the files; nothing without a stream."""
    if not streams:
        return
    console = Console(markup=False)  # names of files may have brackets
    table = Table(title="Scored streams", title_justify="left")
    table.add_column("video")
    for column in ("frames", "events", "highest score", "alarm level", "ended"):
        table.add_column(column, justify="right")
    for summary in streams:
        highest = f"{summary.highest:.2f}" if summary.frames else "–"
        numbers = highest, f"{summary.level:.2f}"
        ended = summary.ended if summary.ended in WITHOUT_ERROR else "an error"
        table.add_row(summary.name, str(summary.frames), str(summary.events), *numbers, ended)
    console.print(table)
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".csv", ".json", ".png", ".mp4"):
            console.print(str(path), soft_wrap=True, highlight=False)


def _highest_of_stretches(path: Path, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Read the time and the highest score of each stretch, (stretches,) each, row by row."""
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
