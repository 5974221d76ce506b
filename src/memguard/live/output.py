"""The output of a stream: each frame is on disk at once, however the command ends."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from memguard.data.video.stream import Interruption, Stream
from memguard.detection.alarm_scale import AlarmScale
from memguard.detection.events import COLUMNS, ScoredPicture
from memguard.errors import DataError
from memguard.files import written_whole
from memguard.live.annotate import AnnotatedVideo
from memguard.live.events.reporter import EventReporter
from memguard.live.reports import (
    ANOMALY,
    CONDITION,
    END,
    OUTAGE,
    REPORT_COLUMNS,
    SCORED,
    STANDING,
    Kind,
    Report,
)
from memguard.report.plots.stream import stream_timeline
from memguard.report.results import write_json
from memguard.report.rows import Rows, not_written
from memguard.scoring.regions import Region

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

    ``scores.csv`` and ``regions.csv`` grow row by row, and ``events.jsonl`` by each report.
    ``events.json`` and ``events.csv`` exist from the beginning and are written again after each
    event, and ``timeline.png`` follows at the end.

    Args:
        folder: The folder.
        stream: The stream.
        alarm: The calibrated alarm.
        per_hour: The accepted number of false alarms per hour.
        annotate: Whether to write ``annotated.mp4`` as well.
        reporter: Joins frames to events, and reports them.

    Raises:
        DataError: A file cannot be written, or the folder has scores already.

    Attributes:
        ended: The end of the stream; see :class:`Summary`.
        events: The last reports of the events, outages and conditions that have ended.
    """

    def __init__(
        self,
        folder: Path,
        stream: Stream,
        alarm: AlarmScale,
        per_hour: float,
        annotate: bool,
        reporter: EventReporter,
    ) -> None:
        self._rows = Rows(folder / "scores.csv", ("video", *COLUMNS))
        self._regions = Rows(folder / "regions.csv", ("video", "frame", *Region._fields))
        self._folder, self._stream = folder, stream
        self._name, self._fps = stream.name, stream.fps
        self._alarm, self._per_hour = alarm, per_hour
        self._level = reporter.level
        self._began = datetime.now().astimezone()
        self._frames, self._highest = 0, float("nan")
        self._reporter = reporter
        self._annotated: AnnotatedVideo | None = None
        self.ended = NOT_ENDED
        self.events: list[Report] = []
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
        self._frames += 1  # at once: an interrupt may come at any line
        for *box, score in scored.regions():
            self._regions.add((self._name, scored.moment.frame, *box, f"{score:.8g}"))
        self._highest = float(np.fmax(self._highest, scored.score))
        self._take(self._reporter.add(scored))
        if annotated := self._annotated:
            self._write("annotated.mp4", lambda: annotated.add(scored))

    def interrupt(self, interruption: Interruption) -> None:
        """Write the beginning of an outage.

        Raises:
            DataError: A file cannot be written.
        """
        self._take(self._reporter.interrupt(interruption))

    def close(self) -> None:
        """Write the files of the end, as far as possible.

        ``ended`` names a file that cannot be written, unless it names an earlier error.
        """
        self.events += self._reporter.close()
        if self._annotated:
            self._attempt("annotated.mp4", self._annotated.close)
        self._rows.release()
        self._regions.release()
        if self._rows.exists:  # else the user has removed the folder
            self._attempt("events.json", self._write_events)
            self._attempt("timeline.png", self._draw_timeline)

    def _take(self, reports: Sequence[Report]) -> None:
        """Write the events that have ended."""
        if ended := [report for report in reports if report.state == END]:
            self.events += ended
            self._write("events.json", self._write_events)

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
        figure = stream_timeline(
            self._name,
            seconds,
            score,
            self._level,
            self._spans(ANOMALY),
            standing=self._spans(STANDING),
            outages=self._spans(OUTAGE),
            conditions=self._spans(CONDITION),
        )
        with written_whole(self._folder / "timeline.png") as unfinished:
            figure.savefig(unfinished)

    def _spans(self, kind: Kind) -> list[tuple[float, float]]:
        """Return the start and the end of the events of a kind, seconds."""
        events = (event for event in self.events if event.kind == kind)
        return [(event.start_seconds, event.end_seconds) for event in events]

    @property
    def count(self) -> int:
        """The number of events with a score, including those that have not ended."""
        return sum(len(self._spans(kind)) + (kind in self._reporter.open) for kind in SCORED)

    def summary(self) -> Summary:
        """Summarise the stream."""
        return Summary(self._name, self._frames, self.count, self._highest, self._level, self.ended)

    def _write_events(self) -> None:
        rows = [event.model_dump(mode="json") for event in self.events]
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
            "held_back_frames": self._reporter.held_back,
            "dropped_frames": self._stream.dropped,
            "torn_frames": self._stream.torn,
            "events": rows,
        }
        with written_whole(self._folder / "events.json") as unfinished:
            write_json(unfinished, content)
        with (
            written_whole(self._folder / "events.csv") as unfinished,
            unfinished.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, REPORT_COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


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
        if path.suffix in (".csv", ".json", ".jsonl", ".png", ".mp4", ".jpg"):
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
