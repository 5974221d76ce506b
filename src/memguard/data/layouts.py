"""Where a dataset's videos, labels and masks lie on disk.

One function per layout turns a root folder into a `Benchmark`; nothing else knows about folders.
Frames are counted from 0, whatever a dataset's own files do.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from memguard.data.street import generate, is_complete
from memguard.data.video import Video, frame_images, natural_order
from memguard.errors import DataError

VIDEO_SUFFIXES = frozenset(
    {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm", ".wmv"}
)
PED2_TREE = "training/frames/NN/*.jpg, testing/frames/NN/*.jpg and ped2.mat"
INTERVAL_HEADER = ("video", "start", "end")
FRAME_HEADER = ("video", "frame", "label")


@dataclass(frozen=True)
class VideoRecord:
    """One video of a dataset.

    Attributes:
        name: What the video is called in results, e.g. "01".
        source: A video file or a folder of frames.
        labels: (frames,) uint8, 1 = anomalous; None: unlabelled.
        masks: Pixel ground truth, where there is one.
    """

    name: str
    source: Path
    labels: np.ndarray | None = None
    masks: Path | None = None


@dataclass(frozen=True)
class Benchmark:
    """A dataset: videos to train on, all normal, and videos to test on."""

    name: str
    train: tuple[VideoRecord, ...]
    test: tuple[VideoRecord, ...]


def ped2(root: Path | str) -> Benchmark:
    """Read UCSD Ped2 in the layout that the field's papers use.

    ```
    root/training/frames/NN/FFF.jpg
    root/testing/frames/NN/FFF.jpg
    root/testing/masks/NN/FFF.png      where there is pixel ground truth
    root/ped2.mat                      gt: one 2×n array of intervals per test video, from 1
    ```

    Raises:
        DataError: A part of this tree is missing, or labels and videos do not agree.
    """
    root = _dataset_root(root)
    train, test = (_ped2_videos(root / split / "frames") for split in ("training", "testing"))
    labels_file = root / "ped2.mat"
    intervals = _ped2_intervals(labels_file)
    if len(intervals) != len(test):
        raise DataError(
            f"{labels_file}: found intervals for {len(intervals)} videos, expected {len(test)} as "
            f"in {root / 'testing' / 'frames'}; restore what is missing under dataset.root"
        )
    return Benchmark(
        name="ped2",
        train=tuple(VideoRecord(source.name, source) for source in train),
        test=tuple(
            VideoRecord(
                name=source.name,
                source=source,
                labels=labels_from_intervals(
                    spans, count_frames(source), f"{labels_file}, test video {source.name}"
                ),
                masks=_first_existing(root / "testing" / "masks" / source.name),
            )
            for source, spans in zip(test, intervals, strict=True)
        ),
    )


def street(root: Path | str) -> Benchmark:
    """Read the generated street scene, and generate it first where it is not there yet.

    See `memguard.data.street` for what it shows and the tree it writes, which is that of `folder`.
    """
    root = Path(root)
    if not is_complete(root):
        generate(root)
    return folder(root, name="street")


def folder(root: Path | str, name: str = "folder") -> Benchmark:
    """Read any videos from a folder of this form.

    ```
    root/train/*            normal videos; may be missing where there is a test/
    root/test/*             videos to test on; may be missing or empty where there is a train/
    root/labels.csv         optional: which frames of test/ are anomalous
    root/masks/NAME.npz     optional: pixel ground truth of the test video NAME, or
    root/masks/NAME/*       the same as a folder of images
    ```

    A video is a video file (mp4, avi, mkv, mov, webm, m4v, mpg, mpeg, wmv) or a folder with one
    image per frame; its name is the file's name without suffix or the folder's name. Videos come
    in natural order (2 before 10). `labels.csv` has one of two forms, told apart by its header;
    frames count from 0:

    - `video,start,end`: one interval of anomalous frames per row, both ends included. A test
      video without rows is normal throughout.
    - `video,frame,label`: one frame per row, label 1 = anomalous, 0 = normal. A listed video has
      every frame once; videos that are not listed are unlabelled.

    Args:
        root: The folder.
        name: What the dataset is called in results.

    Raises:
        DataError: There are no videos, two have one name, or the labels do not fit the videos.
    """
    root = _dataset_root(root)
    train, test = _named_videos(root / "train"), _named_videos(root / "test")
    if not train and (not test or (root / "train").is_dir()):
        raise DataError(
            f"{root / 'train'}: found no video here, expected video files or folders of frames; "
            "add some or correct dataset.root"
        )
    labels = _read_labels(root / "labels.csv", test)
    return Benchmark(
        name=name,
        train=tuple(VideoRecord(video, source) for video, source in train.items()),
        test=tuple(
            VideoRecord(
                name=video,
                source=source,
                labels=labels.get(video),
                masks=_first_existing(root / "masks" / f"{video}.npz", root / "masks" / video),
            )
            for video, source in test.items()
        ),
    )


def labels_from_intervals(
    intervals: Iterable[tuple[int, int]], frames: int, where: str
) -> np.ndarray:
    """Mark intervals of anomalous frames.

    Args:
        intervals: First and last frame of each, from 0, both included.
        frames: Length of the video.
        where: The place the intervals come from, as an error names it.

    Returns:
        (frames,) uint8, 1 = anomalous.

    Raises:
        DataError: An interval is not within the video, or ends before it starts.
    """
    labels = np.zeros(frames, np.uint8)
    for start, end in intervals:
        if not 0 <= start <= end < frames:
            raise DataError(
                f"{where}: found the interval {start} to {end} (frames from 0, both ends "
                f"included), expected 0 <= start <= end <= {frames - 1} in a video of {frames} "
                "frames; correct the interval or restore the missing frames"
            )
        labels[start : end + 1] = 1
    return labels


def count_frames(source: Path) -> int:
    """Return the number of frames of a video file or a folder of frames.

    Raises:
        DataError: The file cannot be decoded, or the folder holds no image.
    """
    return len(frame_images(source)) if source.is_dir() else len(Video(source))


def subfolders(parent: Path) -> list[Path]:
    """List the folders in a folder, in natural order; none where there is no such folder."""
    return natural_order(path for path in _entries(parent) if path.is_dir())


def _entries(parent: Path) -> Iterable[Path]:
    return parent.iterdir() if parent.is_dir() else ()


def _dataset_root(root: Path | str) -> Path:
    root = Path(root)
    if not root.is_dir():
        raise DataError(
            f"{root}: there is no such folder; set dataset.root to the folder with the dataset"
        )
    return root


def _first_existing(*candidates: Path) -> Path | None:
    return next((path for path in candidates if path.exists()), None)


def _ped2_videos(parent: Path) -> list[Path]:
    videos = subfolders(parent)
    if not videos:
        raise DataError(
            f"{parent}: found no folders of frames here; set dataset.root to the folder that "
            f"holds {PED2_TREE}"
        )
    return videos


def _ped2_intervals(path: Path) -> list[list[tuple[int, int]]]:
    """Read the intervals of each test video and count their frames from 0."""
    if not path.is_file():
        raise DataError(
            f"{path}: the file with the labels is missing; set dataset.root to the folder that "
            f"holds {PED2_TREE}"
        )
    try:
        videos = loadmat(path)["gt"].ravel()
        # The file stores bytes, which would wrap around below zero.
        return [[(int(s) - 1, int(e) - 1) for s, e in spans.T] for spans in videos]
    except (OSError, KeyError, ValueError, TypeError, NotImplementedError, MatReadError) as error:
        raise DataError(
            f"{path}: expected a MATLAB file (up to version 7) with a cell array 'gt' of one 2×n "
            f"array per test video, found {error!r}; restore it from the dataset"
        ) from error


def _named_videos(split: Path) -> dict[str, Path]:
    """Map names to the video files and frame folders of a split, in natural order."""
    videos: dict[str, Path] = {}
    for source in natural_order(_entries(split)):
        if source.is_dir():
            name = source.name
        elif source.suffix.lower() in VIDEO_SUFFIXES:
            name = source.stem
        else:
            continue
        if name in videos:
            raise DataError(
                f"{source}: found a second video with the name {name!r} beside "
                f"{videos[name].name}, expected one; rename or remove one of them"
            )
        videos[name] = source
    return videos


@dataclass(frozen=True)
class _Row:
    """A row of a label file: where it stands, the video's name and the two numbers after it."""

    where: str
    video: str
    numbers: tuple[int, int]


def _read_labels(path: Path, videos: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Read `labels.csv`; without the file, nothing is labelled."""
    if not path.is_file():
        return {}
    frames = {name: count_frames(source) for name, source in videos.items()}
    lines = _csv_lines(path)
    where, header = next(lines, (f"{path}", []))
    if tuple(header) == INTERVAL_HEADER:
        return _interval_labels(_rows(lines, INTERVAL_HEADER, frames), frames)
    if tuple(header) == FRAME_HEADER:
        return _frame_labels(_rows(lines, FRAME_HEADER, frames), frames, path)
    raise DataError(
        f"{where}: found the header {','.join(header)!r}, expected {','.join(INTERVAL_HEADER)!r} "
        f"or {','.join(FRAME_HEADER)!r}; correct the first line"
    )


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
    lines: Iterable[tuple[str, list[str]]], header: tuple[str, ...], frames: Mapping[str, int]
) -> Iterator[_Row]:
    for where, fields in lines:
        if len(fields) != len(header):
            raise DataError(
                f"{where}: found {len(fields)} fields, expected {','.join(header)!r}; "
                "correct the line"
            )
        video, *texts = fields
        if video not in frames:
            known = ", ".join(frames) or "none"
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


def _interval_labels(rows: Iterable[_Row], frames: Mapping[str, int]) -> dict[str, np.ndarray]:
    labels = {video: np.zeros(length, np.uint8) for video, length in frames.items()}
    for row in rows:
        labels[row.video] |= labels_from_intervals([row.numbers], frames[row.video], row.where)
    return labels


def _frame_labels(
    rows: Iterable[_Row], frames: Mapping[str, int], path: Path
) -> dict[str, np.ndarray]:
    listed: dict[str, dict[int, int]] = {}
    for row in rows:
        frame, label = row.numbers
        if not 0 <= frame < frames[row.video]:
            raise DataError(
                f"{row.where}: found frame {frame} of the video {row.video!r}, expected 0 to "
                f"{frames[row.video] - 1}; correct the number or restore the missing frames"
            )
        if label not in (0, 1):
            raise DataError(f"{row.where}: found label {label}, expected 0 or 1; correct it")
        if frame in listed.setdefault(row.video, {}):
            raise DataError(
                f"{row.where}: found frame {frame} of the video {row.video!r} a second time, "
                "expected every frame once; remove one of the lines"
            )
        listed[row.video][frame] = label
    for video, labels in listed.items():
        if len(labels) != frames[video]:
            raise DataError(
                f"{path}: found {len(labels)} labels for the video {video!r}, expected one for "
                f"each of its {frames[video]} frames; add the missing lines"
            )
    return {
        video: np.array([labels[frame] for frame in range(len(labels))], np.uint8)
        for video, labels in listed.items()
    }
