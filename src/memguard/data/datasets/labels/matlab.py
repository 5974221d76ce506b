"""Labels in MATLAB files: intervals in cell arrays, and UCSD's scripts."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import h5py
import numpy as np
from scipy.io import loadmat

from memguard.data.datasets.labels.damage import damage_reported
from memguard.data.datasets.labels.frames import Interval, Intervals, Labels
from memguard.errors import DataError


def read_matlab_intervals(path: Path, videos: Sequence[str]) -> dict[str, Labels]:
    """Read a MATLAB file with the cell array `gt`: per video a 2×n array of intervals, from 1.

    Args:
        path: The file, of any version (7.3 is HDF5).
        videos: The names of the videos, in the order of the cells.

    Raises:
        DataError: If the file is damaged, has another form, or has another number of videos.
    """
    with damage_reported(path, "a MATLAB file with a cell array 'gt' of one 2×n array per video"):
        # The file stores bytes, and 0 - 1 would wrap around.
        spans = [[(int(s), int(e)) for s, e in cell.T] for cell in read_cells(path, "gt")]
    return _counted_from_zero(path, spans, videos)


def read_matlab_script(path: Path, videos: Sequence[str]) -> dict[str, Labels]:
    """Read the MATLAB script of UCSD's release: a line with intervals, from 1, per video.

    Such a line is `TestVideoFile{end+1}.gt_frame = [5:90, 140:200];`.

    Args:
        path: The file.
        videos: The names of the videos, in the order of the lines.

    Raises:
        DataError: If a line has another form, or the file has another number of videos.
    """
    with damage_reported(path, "a MATLAB script with lines gt_frame = [start:end, …]"):
        lines = path.read_text(encoding="latin-1").splitlines()
        code = (line.partition("%")[0] for line in lines)
        spans = [_script_intervals(line) for line in code if "gt_frame" in line]
    return _counted_from_zero(path, spans, videos)


def read_cells(path: Path, name: str) -> list[np.ndarray]:
    """Read the arrays in a cell array of a MATLAB file, of version 7.3 (HDF5) or before.

    Args:
        path: The file.
        name: The name of the cell array.
    """
    if not h5py.is_hdf5(path):
        return list(loadmat(path, variable_names=[name])[name].ravel())
    with h5py.File(path) as file:
        return [_hdf5_array(file[reference]) for reference in file[name][()].ravel()]


def _hdf5_array(dataset: h5py.Dataset) -> np.ndarray:
    # MATLAB stores the shape of an empty array in place of its content.
    if dataset.attrs.get("MATLAB_empty"):
        return np.empty((0, 0))
    # HDF5 orders axes from the slowest, MATLAB from the fastest.
    return dataset[()].T


def _script_intervals(line: str) -> list[tuple[int, int]]:
    """Parse the frames in a line of MATLAB: `[5:90, 140:200]`, `[7]` or `[]`."""
    listed = re.search(r"gt_frame\s*=\s*\[(.*)\]", line)
    if listed is None:
        raise ValueError(line)
    return [_script_range(part) for part in re.findall(r"[^\s,]+", listed[1])]


def _script_range(text: str) -> tuple[int, int]:
    start, colon, end = text.partition(":")
    return int(start), int(end if colon else start)


def _counted_from_zero(
    path: Path, spans: Sequence[Iterable[tuple[int, int]]], videos: Sequence[str]
) -> dict[str, Labels]:
    """Map each video to its intervals, counted from 0."""
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
