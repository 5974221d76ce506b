"""Which frames of a video are anomalous, as the label files of the field say it.

Readers (`read_…`) take a file with the labels of all videos apart; the classes hold what is said
of one video, or the file that says it, and answer once its number of frames is known. Thus a wrong
label file of one video is found where that video is used. Frames are counted from 0, whatever a
dataset's own files do.
"""

import csv
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import loadmat

from memguard.data.video.frame_folders import frame_images
from memguard.errors import DataError

INTERVAL_HEADER = ("video", "start", "end")
FRAME_HEADER = ("video", "frame", "label")

Labels = Callable[[int], np.ndarray]
"""Given the number of frames of the video: uint8 (frames,), 1 = anomalous, or a DataError."""


@dataclass(frozen=True)
class Interval:
    """Successive anomalous frames.

    Attributes:
        start: The first one, from 0.
        end: The last one, included.
        where: The place that says so, as an error names it.
    """

    start: int
    end: int
    where: str


@dataclass(frozen=True)
class Intervals:
    """Labels of a video whose frames are normal outside of some intervals.

    Example:
        >>> Intervals((Interval(2, 3, "labels.csv, line 2"),))(5)
        array([0, 0, 1, 1, 0], dtype=uint8)
    """

    intervals: tuple[Interval, ...]

    def __call__(self, frames: int) -> np.ndarray:
        """Mark the intervals.

        Raises:
            DataError: An interval is not within the video, or ends before it starts.
        """
        labels = np.zeros(frames, np.uint8)
        for interval in self.intervals:
            start, end = interval.start, interval.end
            if not 0 <= start <= end < frames:
                raise DataError(
                    f"{interval.where}: found the interval {start} to {end} (frames from 0, both "
                    f"ends included), expected 0 <= start <= end <= {frames - 1} in a video of "
                    f"{frames} frames; correct the interval or restore the missing frames"
                )
            labels[start : end + 1] = 1
        return labels


@dataclass(frozen=True, eq=False)
class FrameLabels:
    """Labels of a video, frame by frame.

    Attributes:
        values: uint8 (frames,), 1 = anomalous.
        where: The place they come from, as an error names it.
    """

    values: np.ndarray
    where: str

    def __call__(self, frames: int) -> np.ndarray:
        """Return them.

        Raises:
            DataError: There are more or fewer than frames.
        """
        if len(self.values) != frames:
            raise DataError(
                f"{self.where}: found {len(self.values)} labels, expected one for each of the "
                f"{frames} frames; restore the label file or the missing frames"
            )
        return self.values


@dataclass(frozen=True)
class FrameArray:
    """Labels of a video in a NumPy file of its own, a 0 or 1 per frame."""

    path: Path

    def __call__(self, frames: int) -> np.ndarray:
        """Read them.

        Raises:
            DataError: The file is missing or damaged, or of another length than the video.
        """
        return FrameLabels(_read_array(self.path), str(self.path))(frames)


@dataclass(frozen=True)
class MaskCells:
    """Labels from the pixel masks of a video in a MATLAB file: the cell array `volLabel`.

    A frame is anomalous if its mask marks a pixel.
    """

    path: Path

    def __call__(self, frames: int) -> np.ndarray:
        """Read them.

        Raises:
            DataError: The file is missing or damaged, or has more or fewer masks than frames.
        """
        with _damage_told(self.path, "a MATLAB file with a cell array 'volLabel' of masks"):
            marked = [mask.any() for mask in _read_cells(self.path, "volLabel")]
            return FrameLabels(np.array(marked, np.uint8), str(self.path))(frames)


@dataclass(frozen=True)
class MaskImages:
    """Labels from the pixel masks of a video in a folder with one image per frame.

    A frame is anomalous if its mask has a pixel that is not black.
    """

    folder: Path

    def __call__(self, frames: int) -> np.ndarray:
        """Read them.

        Raises:
            DataError: The folder is missing, an image is damaged, or there are more or fewer masks
                than frames.
        """
        marked = [_marks_pixel(image) for image in frame_images(self.folder)]
        return FrameLabels(np.array(marked, np.uint8), str(self.folder))(frames)


@dataclass(frozen=True)
class ListedFrames:
    """Labels of a video in a table with a row per frame.

    Attributes:
        rows: Where each row stands, its frame and its label, in any order.
        where: The table, as an error names it.
    """

    rows: tuple[tuple[str, int, int], ...]
    where: str

    def __call__(self, frames: int) -> np.ndarray:
        """Put the rows in order.

        Raises:
            DataError: A frame is missing, listed twice or not in the video.
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


def read_matlab_intervals(path: Path, videos: Sequence[str]) -> dict[str, Labels]:
    """Read a MATLAB file with the cell array `gt`: per video a 2×n array of intervals, from 1.

    Args:
        path: The file, of any version (7.3 is HDF5).
        videos: What the videos are called, in the order of the cells.

    Raises:
        DataError: The file is damaged, of another form, or for another number of videos.
    """
    with _damage_told(path, "a MATLAB file with a cell array 'gt' of one 2×n array per video"):
        # The file stores bytes, which would wrap around below zero.
        spans = [[(int(s), int(e)) for s, e in cell.T] for cell in _read_cells(path, "gt")]
    return _counted_from_one(path, spans, videos)


def read_matlab_script(path: Path, videos: Sequence[str]) -> dict[str, Labels]:
    """Read the MATLAB script of UCSD's release, a line with intervals, from 1, per video.

    Such a line is `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];`.

    Args:
        path: The file.
        videos: What the videos are called, in the order of the lines.

    Raises:
        DataError: A line is of another form, or the file is for another number of videos.
    """
    with _damage_told(path, "a MATLAB script with lines gt_frame = [start:end, …]"):
        lines = path.read_text(encoding="latin-1").splitlines()
        code = (line.partition("%")[0] for line in lines)
        spans = [_script_intervals(line) for line in code if "gt_frame" in line]
    return _counted_from_one(path, spans, videos)


def read_concatenated(path: Path, lengths: Mapping[str, int]) -> dict[str, Labels]:
    """Read a NumPy file with a 0 or 1 for every frame of all videos, end to end.

    Args:
        path: The file.
        lengths: The videos' numbers of frames, in the order of the array.

    Raises:
        DataError: The file is damaged, or holds more or fewer labels than there are frames.
    """
    values = _read_array(path)
    total = sum(lengths.values())
    if len(values) != total:
        raise DataError(
            f"{path}: found {len(values)} labels, expected {total}, one for each frame of the "
            f"{len(lengths)} videos; restore the file or the missing frames"
        )
    parts = np.split(values, list(accumulate(lengths.values()))[:-1])
    return {
        video: FrameLabels(part, f"{path}, video {video}")
        for video, part in zip(lengths, parts, strict=True)
    }


def read_csv(path: Path, videos: Collection[str]) -> dict[str, Labels]:
    """Read a table of intervals or of frames, told apart by the header.

    - `video,start,end`: one interval of anomalous frames per row, both ends included. A video
      without rows is normal throughout.
    - `video,frame,label`: one frame per row, label 1 = anomalous, 0 = normal. A listed video has
      every frame once; videos that are not listed are not labelled.

    Args:
        path: The file; frames count from 0.
        videos: What the videos are called.

    Raises:
        DataError: The file is not CSV, has another header, or a row names no video of these, has
            fields too many or too few, or one that is no number.
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


@contextmanager
def _damage_told(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever the reader of a format meets in a damaged file into a DataError."""
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # the readers of SciPy, h5py, NumPy and Pillow promise no less
        raise DataError(
            f"{path}: expected {expected}, found {error!r}; restore it from the dataset"
        ) from error


def _read_array(path: Path) -> np.ndarray:
    with _damage_told(path, "a NumPy array with a 0 or 1 per frame"):
        # Mapped, not read: a damaged header may declare more than fits into memory.
        values = np.atleast_1d(np.load(path, mmap_mode="r").squeeze())
        if values.ndim != 1 or not np.isin(values, (0, 1)).all():
            raise ValueError(f"an array of shape {values.shape} with other values")
        return values.astype(np.uint8)


def _read_cells(path: Path, name: str) -> list[np.ndarray]:
    """Read the arrays in a cell array of a MATLAB file, of version 7.3 (HDF5) or before."""
    if not h5py.is_hdf5(path):
        return list(loadmat(path, variable_names=[name])[name].ravel())
    with h5py.File(path) as file:
        return [_hdf5_array(file[reference]) for reference in file[name][()].ravel()]


def _hdf5_array(dataset: h5py.Dataset) -> np.ndarray:
    # Of an empty array MATLAB stores the shape in place of the content.
    if dataset.attrs.get("MATLAB_empty"):
        return np.empty((0, 0))
    # HDF5 counts axes from the slowest, MATLAB from the fastest.
    return dataset[()].T


def _marks_pixel(path: Path) -> bool:
    with _damage_told(path, "a mask image"), Image.open(path) as image:
        return image.convert("L").getbbox() is not None


def _script_intervals(line: str) -> list[tuple[int, int]]:
    """Take the frames apart that a line of MATLAB sets: `[5:90, 140:200]`, `[7]` or `[]`."""
    listed = re.search(r"gt_frame\s*=\s*\[(.*)\]", line)
    if listed is None:
        raise ValueError(line)
    return [_script_range(part) for part in re.findall(r"[^\s,]+", listed[1])]


def _script_range(text: str) -> tuple[int, int]:
    start, colon, end = text.partition(":")
    return int(start), int(end if colon else start)


def _counted_from_one(
    path: Path, spans: Sequence[Iterable[tuple[int, int]]], videos: Sequence[str]
) -> dict[str, Labels]:
    """Give each video its intervals, counted from 0."""
    if len(spans) != len(videos):
        raise DataError(
            f"{path}: found intervals for {len(spans)} videos, expected {len(videos)}, one for "
            "each test video; restore what is missing under dataset.root"
        )
    return {
        video: Intervals(
            tuple(Interval(start - 1, end - 1, f"{path}, video {video}") for start, end in of_video)
        )
        for video, of_video in zip(videos, spans, strict=True)
    }


@dataclass(frozen=True)
class _Row:
    """A row of a CSV file: where it stands, the video's name and the two numbers after it."""

    where: str
    video: str
    numbers: tuple[int, int]


def _csv_lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each line's place and fields; empty lines are left out."""
    try:
        # Spreadsheets put a byte order mark in front, which is not part of the header.
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
