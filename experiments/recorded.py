"""Read what the studies recorded: the runs of ``runs.csv`` and the files of ``scores/``."""

import csv
import re
from pathlib import Path

import numpy as np

from memguard import read_scores

HERE = Path(__file__).parent

Metrics = dict[str, float]
"""By the names of ``metrics.json``."""

Scores = dict[str, np.ndarray]
"""The columns of ``scores.csv``, (frames,) each; videos by their names."""


def runs(*studies: str) -> dict[str, Metrics]:
    """Read the runs of some studies.

    Args:
        studies: Their names in ``runs.csv``.

    Returns:
        The metrics of each run, by its name.
    """
    with (HERE / "runs.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["study"] in studies]
    return {
        row["run"]: {key: float(value) for key, value in row.items() if value and "/" in key}
        for row in rows
    }


def scores(name: str) -> Scores:
    """Read the scores of each frame, such as of ``weights/pred_small_seed0``.

    Returns:
        The columns of the file, (frames,) each; videos by their names.
    """
    table = read_scores(HERE / "scores" / f"{name}.csv.gz")
    return {column: np.array(table[column]) for column in table.columns}


def seeds(found: dict[str, Metrics], variant: str) -> list[Metrics]:
    """Return the runs of a variant, by their seeds."""
    return [found[name] for name in sorted(found) if re.fullmatch(rf"{variant}(_seed-?\d)?", name)]
