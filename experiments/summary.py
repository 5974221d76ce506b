"""What came out of a study, over its seeds: ``python experiments/summary.py STUDY_FOLDER``.

Reads the study's ``results.json``, whose entries are named ``WHAT_seedN`` or, without seeds,
``WHAT``, as ``experiments/record.py`` wrote them; prints a table of means and draws
``figures/summary.png``. Tests on the way, ``WHAT_after_N_epochs_seedN``, are left to a figure over
the epochs.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean
from textwrap import fill

import matplotlib as mpl
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from memguard.report.figures import BLUE, PAGE_WIDTH, STYLE, VERMILION

WAYS = {
    "test/auroc": "published",
    "test/auroc_psnr": "PSNR alone",
    "test/auroc_distance": "distance alone",
    "test/auroc_patch": "worst patch",
    "test/auroc_patch_psnr": "patch and PSNR, smoothed",
}

ON_THE_WAY = "_after_"

Values = dict[str, dict[str, list[float]]]
"""AUROC in % of each seed, by variant and by way of counting."""


def gather(study: Path) -> Values:
    """Put the entries of all seeds of a variant together."""
    entries = json.loads((study / "results.json").read_text(encoding="utf-8"))
    values: Values = defaultdict(lambda: defaultdict(list))
    for name, entry in entries.items():
        if ON_THE_WAY in name:
            continue
        for key in WAYS:
            if key in entry["metrics"]:
                values[name.partition("_seed")[0]][key].append(100 * entry["metrics"][key])
    return values


def print_table(values: Values) -> None:
    """Print means over seeds, and from where to where they go."""
    table = Table(title="Frame AUROC in %, mean over seeds (lowest to highest)")
    for column in ("variant", "seeds", *WAYS.values()):
        table.add_column(column)
    for variant, ways in values.items():
        cells = [
            f"{mean(v):.1f} ({min(v):.1f}–{max(v):.1f})" if (v := ways.get(key)) else "–"
            for key in WAYS
        ]
        table.add_row(variant, str(len(next(iter(ways.values())))), *cells)
    Console(width=140).print(table)


def draw_variants(values: Values) -> Figure:
    """Draw a panel per way of counting, a row per variant, a circle per seed."""
    variants = list(values)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(PAGE_WIDTH, 0.24 * len(variants) + 0.9))
        panels = figure.subplots(1, len(WAYS), sharey=True)
        for axes, (key, title) in zip(panels, WAYS.items(), strict=True):
            for place, variant in enumerate(variants):
                if found := values[variant].get(key):
                    axes.plot(found, [place] * len(found), "o", ms=4, mfc="none", color=BLUE)
                    axes.plot(mean(found), place, "|", ms=10, mew=1.5, color=VERMILION)
            axes.set_title(fill(title, 16))
            axes.grid(axis="y", lw=0.3)
        panels[0].set_yticks(range(len(variants)), [name.replace("_", " ") for name in variants])
        panels[0].invert_yaxis()
        figure.supxlabel("frame AUROC, %: circles are seeds, bars their means", fontsize=8)
    return figure


def main() -> None:
    """Print and draw."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    study = Path(sys.argv[1])
    values = gather(study)
    print_table(values)
    (study / "figures").mkdir(exist_ok=True)
    draw_variants(values).savefig(study / "figures" / "summary.png")


if __name__ == "__main__":
    main()
