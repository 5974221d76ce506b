"""Label files that tests share."""

from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

PED2_LENGTHS = (180, 180, 150, 180, 150, 180, 180, 180, 120, 150, 180, 180)


PED2_FRAMES = {f"{number:02d}": length for number, length in enumerate(PED2_LENGTHS, 1)}


PED1_SCRIPT = """TestVideoFile = {};
TestVideoFile{end+1}.gt_frame = [60:152];
TestVideoFile{end+1}.gt_frame = [5:90, 140:200];
% TestVideoFile{end+1}.gt_frame = [1:2];
TestVideoFile{end+1}.gt_frame = [7];
TestVideoFile{end+1}.gt_frame = [];
"""


def write_cells(path: Path, name: str, arrays: Sequence[np.ndarray]) -> Path:
    """Write a cell array as MATLAB did until version 7."""
    cells = np.empty((1, len(arrays)), object)
    for number, array in enumerate(arrays):
        cells[0, number] = array
    savemat(path, {name: cells}, do_compression=True)
    return path


def write_hdf5_cells(path: Path, name: str, arrays: Sequence[np.ndarray]) -> Path:
    """Write a cell array as MATLAB does since version 7.3: HDF5 behind a block of its own."""
    with h5py.File(path, "w", userblock_size=512) as file:
        cells = file.create_dataset(name, (len(arrays), 1), h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
        for number, array in enumerate(arrays):
            content = array.T if array.size else np.array(array.shape, np.uint64)
            part = file.create_dataset(f"#refs#/{number}", data=content)
            part.attrs["MATLAB_class"] = np.bytes_(array.dtype.name)
            if not array.size:
                part.attrs["MATLAB_empty"] = np.uint8(1)
            cells[number, 0] = part.ref
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM"
    path.write_bytes(header + path.read_bytes()[len(header) :])
    return path


def write_masks(folder: Path, marked: Sequence[bool], name: str = "{:03d}.bmp") -> Path:
    """Write masks as UCSD's release has them: 8 bits, white where something is anomalous."""
    folder.mkdir(parents=True)
    for number, mark in enumerate(marked, 1):
        mask = np.zeros((16, 24), np.uint8)
        mask[3, 5] = 255 * mark
        Image.fromarray(mask).save(folder / name.format(number))
    return folder


CELL_WRITERS = pytest.mark.parametrize("write", [write_cells, write_hdf5_cells])
