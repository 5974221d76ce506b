"""Make the pictures of the README: ``python experiments/own_video/pictures.py CHECKPOINT VIDEO``.

Watches a video, copies its timeline into ``figures/``, and with it the frame of the annotated video
at the peak of the last event.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import av

FIGURES = Path(__file__).with_name("figures")


def main() -> None:
    """Score the video, and keep what shows it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("video", type=Path)
    given = parser.parse_args()
    FIGURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable, "-m", "memguard.score", f"checkpoint={given.checkpoint}",
            f"video={given.video}", "annotate=true", f"hydra.run.dir={scratch}",
        ]  # fmt: skip
        subprocess.run(command, check=True)
        found = Path(scratch)
        shutil.copy(found / "timeline.png", FIGURES)
        events = json.loads((found / "events.json").read_text(encoding="utf-8"))
        with (found / "scores.csv").open(encoding="utf-8") as file:
            first = int(next(islice(file, 1, None)).split(",")[1])
        place = events["events"][-1]["peak_frame"] - first
        with av.open(str(found / "annotated.mp4")) as container:
            frame = next(islice(container.decode(video=0), place, None))
            frame.to_image().save(FIGURES / "annotated.png")


if __name__ == "__main__":
    main()
