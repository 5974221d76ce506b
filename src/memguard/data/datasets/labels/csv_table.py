"""Labels in CSV files: a row per interval or a row per frame."""

import csv
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from memguard.data.datasets.labels.frames import FrameLabels, Interval, Intervals, Labels
from memguard.errors import DataError

INTERVAL_HEADER = ("video", "start", "end")
FRAME_HEADER = ("video", "frame", "label")


@dataclass(frozen=True)
class ListedFrames:
    """Labels of a video from a table with a row per frame.

    Attributes:
        rows: The place in the file, the frame and the label of each row, in any order.
        where: The file and the video, for errors.

    Example:
        >>> ListedFrames((("line 2", 1, 0), ("line 3", 0, 1)), "labels.csv, video 01")(frames=2)
        array([1, 0], dtype=uint8)
    """

    rows: tuple[tuple[str, int, int], ...]
    where: str

    def __call__(self, frames: int) -> np.ndarray:
        """Return the labels of so many frames.

        Raises:
            DataError: If a frame is missing, listed twice or not in the video.
        """
        listed: dict[int, int] = {}
        for where, frame, label in self.rows:
            if not 0 <= frame < frames:
                raise DataError(
                    f"{where}: found frame {frame}, expected 0 to {frames - 1}; correct the number "
                    "or restore the missing frames"
                )
            if frame in listed:
                raise DataError(
                    f"{where}: found frame {frame} a second time, expected every frame once; "
                    "remove one of the lines"
                )
            listed[frame] = label
        values = np.array([listed[frame] for frame in sorted(listed)], np.uint8)
        return FrameLabels(values, self.where)(frames)


def read_csv(path: Path, videos: Collection[str]) -> dict[str, Labels]:
    """Read a table of intervals or of frames; the header says which.

    - `video,start,end`: one interval of anomalous frames per row, both ends included. A video
      without rows is normal throughout.
    - `video,frame,label`: one frame per row, label 1 = anomalous, 0 = normal. A listed video has
      every frame once; the other videos are unlabelled.

    Args:
        path: The file; frames count from 0.
        videos: The names of the videos.

    Raises:
        DataError: If the file is not CSV, has another header, or a row has an unknown video,
            another number of fields, or a field that is no number.
    """
    lines = _csv_lines(path)
    where, header = next(lines, (f"{path}", []))
    if tuple(header) == INTERVAL_HEADER:
        return _interval_labels(_rows(lines, INTERVAL_HEADER, videos), videos)
    if tuple(header) == FRAME_HEADER:
        return _listed_labels(_rows(lines, FRAME_HEADER, videos), path)
    raise DataError(
        f"{where}: found the header {','.join(header)!r}, expected {','.join(INTERVAL_HEADER)!r} "
        f"or {','.join(FRAME_HEADER)!r}; correct the first line"
    )


@dataclass(frozen=True)
class _Row:
    """A row: its place in the file, the name of the video and the two numbers after it."""

    where: str
    video: str
    numbers: tuple[int, int]


def _csv_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield the place and the fields of each line that is not empty."""
    try:
        # Spreadsheets write a byte order mark before the header.
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            for fields in reader:
                if fields:
                    yield f"{path}, line {reader.line_num}", [field.strip() for field in fields]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: this is not a CSV file in UTF-8 ({error}); save it as one"
        ) from error


def _rows(
    lines: Iterable[tuple[str, list[str]]], header: tuple[str, ...], videos: Collection[str]
) -> Iterator[_Row]:
    for where, fields in lines:
        if len(fields) != len(header):
            raise DataError(
                f"{where}: found {len(fields)} fields, expected {','.join(header)!r}; "
                "correct the line"
            )
        video, *texts = fields
        if video not in videos:
            known = ", ".join(videos) or "none"
            raise DataError(
                f"{where}: found the video {video!r}, expected one of test/ ({known}); "
                "correct the name or add the video"
            )
        first, second = (
            _integer(text, f"{where}: {column}")
            for text, column in zip(texts, header[1:], strict=True)
        )
        yield _Row(where, video, (first, second))


def _integer(text: str, where: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise DataError(f"{where} is {text!r}, expected a whole number; correct it") from None


def _interval_labels(rows: Iterable[_Row], videos: Collection[str]) -> dict[str, Labels]:
    intervals: dict[str, list[Interval]] = {video: [] for video in videos}
    for row in rows:
        intervals[row.video].append(Interval(*row.numbers, row.where))
    return {video: Intervals(tuple(listed)) for video, listed in intervals.items()}


def _listed_labels(rows: Iterable[_Row], path: Path) -> dict[str, Labels]:
    listed: dict[str, list[tuple[str, int, int]]] = {}
    for row in rows:
        frame, label = row.numbers
        if label not in (0, 1):
            raise DataError(f"{row.where}: found label {label}, expected 0 or 1; correct it")
        listed.setdefault(row.video, []).append((row.where, frame, label))
    return {
        video: ListedFrames(tuple(of_video), f"{path}, video {video}")
        for video, of_video in listed.items()
    }
