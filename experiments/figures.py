"""Draw a figure of the studies: ``python experiments/figures.py [NAME…] [--folder FOLDER]``.

Every figure is drawn from ``runs.csv`` and ``scores/`` beside this file alone. Without a NAME all
of them are drawn, into ``figures/`` unless FOLDER is given.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
from figures_of_alarms import false_alarms
from figures_of_denoising import denoiser
from figures_of_frames import recon, shared_range, timeline, video_06
from figures_of_places import beyond_ped2, patch_sizes
from figures_of_runs import batch_norm, memories, memory, memory_size, protocol, reproduction
from matplotlib.figure import Figure
from style import STYLE

FIGURES: dict[str, Callable[[], Figure]] = {
    draw.__name__: draw
    for draw in (
        reproduction, protocol, memory, shared_range, recon, batch_norm, timeline, video_06,
        memory_size, false_alarms, patch_sizes, beyond_ped2, denoiser, memories,
    )
}  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figures that are requested, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FIGURES))
    parser.add_argument("--folder", type=Path, default=Path(__file__).with_name("figures"))
    given = parser.parse_args(arguments)
    if unknown := [name for name in given.names if name not in FIGURES]:
        parser.error(f"no figure is named {unknown[0]!r}; there are {', '.join(FIGURES)}")
    given.folder.mkdir(parents=True, exist_ok=True)
    for name in given.names or FIGURES:
        with mpl.rc_context(STYLE):
            FIGURES[name]().savefig(given.folder / f"{name}.png")


if __name__ == "__main__":
    main()
