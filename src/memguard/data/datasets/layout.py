"""Layouts: find the videos, labels and masks of a dataset in its folder.

Datasets circulate in several layouts. These functions find the one in use, and report a missing
part with the layouts that a dataset may have.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from memguard.data.datasets.benchmark import Benchmark, LabelsMissingError
from memguard.data.datasets.labels import (
    Labels,
    read_concatenated,
    read_matlab_intervals,
    read_matlab_script,
)
from memguard.data.video.decoding import contents
from memguard.data.video.frame_folders import frame_images, natural_order
from memguard.errors import DataError

VIDEO_SUFFIXES = frozenset(
    {
        *(".264", ".265", ".3g2", ".3gp", ".asf", ".avi", ".dav", ".divx", ".dv", ".f4v", ".flv"),
        *(".h264", ".h265", ".hevc", ".ivf", ".m1v", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg"),
        *(".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogm", ".ogv", ".ts", ".vob"),
        *(".webm", ".wmv", ".y4m"),
    }
)


def existing_root(root: Path | str, release: str | None = None) -> Path:
    """Return the folder of a dataset.

    Args:
        root: The folder.
        release: The name of a dataset that can be downloaded.

    Raises:
        DataError: If there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        fetch = (
            f", or run python -m memguard.prepare dataset={release} download=true"
            if release
            else ""
        )
        raise DataError(
            f"{root}: there is no such folder; set dataset.root to the folder with the dataset"
            f"{fetch}"
        )
    return root


def first_existing(*candidates: Path) -> Path | None:
    """Return the first path that exists, if any."""
    return next((path for path in candidates if path.exists()), None)


def frame_folders(root: Path) -> tuple[Path, Path]:
    """Return the folders of training and test frames in the layout of papers."""
    return root / "training" / "frames", root / "testing" / "frames"


def find_splits(
    tree: str, *layouts: tuple[Path, Path]
) -> tuple[dict[str, Path], dict[str, Path], Path]:
    """Find the training and test videos.

    Args:
        tree: The layouts of the dataset, for the error.
        layouts: Candidates for the folders of training and test videos. The first pair whose
            training folder exists counts, else the first whose test folder does.

    Returns:
        Training videos and test videos by name, and the folder of the test videos. Without the
        training folder there are no training videos, and a test needs none.

    Raises:
        DataError: If a split has no videos, and it is not the training folder that is missing.
    """
    train_folder, test_folder = next(
        (pair for side in (0, 1) for pair in layouts if pair[side].is_dir()), layouts[-1]
    )
    train, test = named_videos(train_folder), named_videos(test_folder)
    if not train and (train_folder.is_dir() or not test):
        raise _no_videos(train_folder, tree)
    if not test:
        raise _no_videos(test_folder, tree)
    return train, test, test_folder


def _no_videos(folder: Path, tree: str) -> DataError:
    return DataError(
        f"{folder}: found no videos here; set dataset.root to the folder that holds {tree}"
    )


def find_labels(tree: str, unlabelled: Benchmark | None, *candidates: Path) -> Path:
    """Find the file or folder with the labels.

    Args:
        tree: The layouts of the dataset, for the error.
        unlabelled: The dataset without labels; None if it must have labels.
        candidates: The paths to try, in order.

    Raises:
        LabelsMissingError: If none exists, and the dataset may be used without labels.
        DataError: If none exists, and the dataset must have labels.
    """
    found = first_existing(*candidates)
    if found is not None:
        return found
    sentence = (
        f"{candidates[0]}: the labels are missing; set dataset.root to the folder that holds {tree}"
    )
    raise LabelsMissingError(sentence, unlabelled) if unlabelled else DataError(sentence)


def read_labels(path: Path, videos: Mapping[str, Path]) -> dict[str, Labels]:
    """Read a file with the labels of all videos: ``.npy``, ``.m`` or ``.mat``.

    Args:
        path: The file.
        videos: The video file or frame folder of each name, in the order of the file.

    Raises:
        DataError: If the file is damaged, or does not fit the videos.
    """
    if path.suffix == ".npy":
        return read_concatenated(path, {name: count_frames(p) for name, p in videos.items()})
    read = read_matlab_script if path.suffix == ".m" else read_matlab_intervals
    return read(path, list(videos))


def file_of_each(names: Mapping[str, str], folder: Path) -> dict[str, Path]:
    """Return the label file of each video.

    Args:
        names: The name of the file by the name of the video.
        folder: The folder of the files.

    Raises:
        DataError: If the folder has a label file of another video.
    """
    files = {video: folder / name for video, name in names.items()}
    suffixes = {path.suffix for path in files.values()}
    for path in natural_order(folder.iterdir()):
        if path.suffix in suffixes and path not in files.values():
            raise DataError(
                f"{path}: found labels for a video that is not there, expected those of "
                f"{', '.join(names)} alone; restore the video or remove the file"
            )
    return files


def find_tracks(root: Path, test: Mapping[str, Path], test_folder: Path) -> dict[str, Path]:
    """Return the file with the tracks of each test video: ``tracks/NAME.txt``.

    Args:
        root: The folder of the dataset; `tracks` lies there or beside the folder of test videos.
        test: The test videos by name.
        test_folder: The folder of the test videos.

    Returns:
        The files by the name of the video, whether they exist or not; none without such a folder.

    Raises:
        DataError: If the folder has tracks of another video.
    """
    folder = first_existing(root / "tracks", test_folder.parent / "tracks")
    return file_of_each({video: f"{video}.txt" for video in test}, folder) if folder else {}


def named_videos(split: Path) -> dict[str, Path]:
    """Map names to the video files and frame folders of a split, in natural order.

    Raises:
        DataError: If two videos have one name, or a name is not in UTF-8.
    """
    videos: dict[str, Path] = {}
    for source in natural_order(split.iterdir() if split.is_dir() else ()):
        if source.is_dir():
            name = source.name
        elif source.suffix.lower() in VIDEO_SUFFIXES:
            name = source.stem
        else:
            continue
        if (shown := os.fsencode(source).decode(errors="replace")) != str(source):
            raise DataError(
                f"{shown}: the name of this video is not in UTF-8, and no table can hold it; "
                "rename the video or its folder"
            )
        if name in videos:
            raise DataError(
                f"{source}: found a second video with the name {name!r} beside "
                f"{videos[name].name}, expected one; rename or remove one of them"
            )
        videos[name] = source
    return videos


def ignored_files(split: Path) -> list[Path]:
    """List the files of a split without the suffix of a video, in natural order."""
    files = natural_order(split.iterdir() if split.is_dir() else ())
    return [
        file for file in files if not file.is_dir() and file.suffix.lower() not in VIDEO_SUFFIXES
    ]


def count_frames(source: Path) -> int:
    """Return the number of frames of a video file or a folder of frames.

    Raises:
        DataError: If the file cannot be decoded, or the folder holds no image.
    """
    return len(frame_images(source)) if source.is_dir() else contents(source).packets
