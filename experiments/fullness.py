"""Measure how full each test frame of Ped2 is: ``python experiments/fullness.py ROOT``.

The median frame of all training videos of Ped2, in ROOT, is the empty scene. The PSNR of a test
frame against it falls as more people are in the picture, and needs no network. It is written to
``scores/recon/empty_frame_psnr.csv.gz`` for the frames that a network of ``pred`` scores.
"""

import csv
import gzip
import sys
from pathlib import Path

import numpy as np
from PIL import Image

SCORES = Path(__file__).parent / "scores"
SCORED = SCORES / "weights" / "pred_full_size_seed0.csv.gz"
OUTPUT = SCORES / "recon" / "empty_frame_psnr.csv.gz"


def load(video: Path) -> np.ndarray:
    """Read the grey levels of a folder of frames, uint8 (frames, height, width)."""
    return np.stack([np.asarray(Image.open(path).convert("L")) for path in sorted(video.glob("*"))])


def psnr(frames: np.ndarray, empty: np.ndarray) -> np.ndarray:
    """Compare each frame with the empty scene.

    Args:
        frames: Grey levels, (frames, height, width).
        empty: Grey levels, (height, width).

    Returns:
        PSNR in dB, (frames,).
    """
    error = ((frames - empty) ** 2).mean(axis=(1, 2))
    return 20 * np.log10(255) - 10 * np.log10(error)


def main(root: Path) -> None:
    """Write the PSNR of each scored test frame against the empty scene."""
    training = np.concatenate(
        [load(video) for video in sorted((root / "training/frames").iterdir())]
    )
    empty = np.stack([np.median(row, axis=0) for row in training.swapaxes(0, 1)])
    near = {video.name: psnr(load(video), empty) for video in (root / "testing/frames").iterdir()}
    with gzip.open(SCORED, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        value = near[row["video"]][int(row["frame"])]
        row |= {"psnr": f"{value:.8g}", "distance": "0", "regular": "0", "written": "0"}
        row["score"] = f"{-value:.8g}"
    lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_bytes(gzip.compress("\n".join([*lines, ""]).encode(), mtime=0))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
