"""Time RBDC and TBDC on random boxes: ``python experiments/benchmarks/localization.py``.

The set has the size of ShanghaiTech's test videos: 40 000 frames in 100 videos, each frame with
five detections and the boxes of five tracks.
"""

import time

import numpy as np

from memguard.scoring.localization import rbdc_tbdc

VIDEOS, FRAMES, BOXES = 100, 400, 5
WIDTH, HEIGHT = 856, 480


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    """Draw boxes (count, 4) within the picture."""
    corner = rng.uniform((0, 0), (WIDTH - 80, HEIGHT - 80), (count, 2))
    return np.concatenate([corner, corner + rng.uniform(20, 80, (count, 2))], axis=1)


def main() -> None:
    """Print the seconds of one call."""
    rng = np.random.default_rng(0)
    rows = FRAMES * BOXES
    frame, track = np.repeat(np.arange(FRAMES), BOXES), np.tile(np.arange(BOXES), FRAMES)
    detections, tracks = {}, {}
    for video in range(VIDEOS):
        detections[video] = np.column_stack([frame, boxes(rng, rows), rng.random(rows)])
        tracks[video] = np.column_stack([track, frame, boxes(rng, rows)])
    began = time.perf_counter()
    rbdc, tbdc = rbdc_tbdc(detections, tracks, VIDEOS * FRAMES)
    seconds = time.perf_counter() - began
    print(f"{VIDEOS * FRAMES} frames: {seconds:.1f} s (RBDC {rbdc:.4f}, TBDC {tbdc:.4f})")


if __name__ == "__main__":
    main()
