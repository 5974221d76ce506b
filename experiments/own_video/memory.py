"""Memory of a long watch: ``python experiments/own_video/memory.py CHECKPOINT VIDEO``.

Prints the resident memory of ``memguard.score`` once a minute, with the frames scored so far.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Watch the video, and the process that does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("video", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "memguard.score", f"checkpoint={given.checkpoint}",
            f"video={given.video}", f"hydra.run.dir={folder}",
        ]  # fmt: skip
        began = time.monotonic()
        with subprocess.Popen(command) as process:
            while process.poll() is None:
                try:
                    process.wait(timeout=60)
                except subprocess.TimeoutExpired:
                    minutes = (time.monotonic() - began) / 60
                    frames = _lines(Path(folder) / "scores.csv") - 1
                    print(f"{minutes:.0f} min, {frames} frames: {_resident_mib(process.pid):.0f}")


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _resident_mib(process: int) -> float:
    statm = Path(f"/proc/{process}/statm").read_text(encoding="ascii")
    return int(statm.split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()
