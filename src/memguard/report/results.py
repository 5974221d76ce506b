"""The results of a run: metrics and scores in files, and a summary on the screen."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from memguard.files import written_whole

SCORE_COLUMNS = ("video", "frame", "psnr", "distance", "regular", "written", "score", "label")


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an indented JSON file, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    with written_whole(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def write_scores(path: Path, frames: dict[str, Tensor], names: Sequence[str]) -> None:
    """Write a CSV file with a row per scored frame; an unknown label is an empty cell.

    Args:
        path: The file.
        frames: Columns as a :class:`memguard.detection.frame_scorer.FrameScorer` has them.
        names: The names of the videos, by their numbers.
    """
    columns = [frames[name].tolist() for name in SCORE_COLUMNS]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(SCORE_COLUMNS)
        for video, frame, *numbers, written, score, label in zip(*columns, strict=True):
            known = int(label) if label >= 0 else ""
            row = [names[int(video)], int(frame), *(f"{x:.8g}" for x in numbers)]
            writer.writerow([*row, int(written), f"{score:.8g}", known])


def read_scores(path: Path) -> tuple[dict[str, Tensor], list[str]]:
    """Read the CSV file that :func:`write_scores` writes.

    Returns:
        The columns, (frames,) each, and the names of the videos by their numbers, which count in
        the order of the file.
    """
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    numbers = {name: number for number, name in enumerate(dict.fromkeys(r["video"] for r in rows))}
    frames = {"video": torch.tensor([numbers[row["video"]] for row in rows])}
    for column in SCORE_COLUMNS[1:]:
        values = [float(row[column] or -1) for row in rows]  # only a label may be empty
        frames[column] = torch.tensor(values, dtype=torch.float64)
    return frames, list(numbers)


def print_summary(
    title: str, metrics: dict[str, float], left_out: Sequence[str], folder: Path
) -> None:
    """Print the metrics of a run, and the paths of its files.

    Args:
        title: The title above the table.
        metrics: By name.
        left_out: The names of the videos that the macro average leaves out.
        folder: The run folder.
    """
    console = Console(markup=False)
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        if name.startswith(("test/", "guard/") if "test/frames" in metrics else "val/"):
            table.add_row(name, f"{value:.0f}" if "frames" in name else f"{value:.4f}")
    console.print(table)
    if "test/frames" in metrics and "test/frames_anomalous" not in metrics:
        console.print("There is no AUROC: no frame has a label.")
    elif "test/frames_anomalous" in metrics and "test/auroc" not in metrics:
        console.print("There is no AUROC: the labelled frames are all of one class.")
    elif left_out:
        console.print(
            f"test/auroc_macro leaves out {', '.join(left_out)}: their frames are all of one class."
        )
    for path in sorted(folder.rglob("*")):
        # W&B has copies in a folder of its own and names it; each epoch has pictures, too many.
        listed = not {"wandb", "epochs"} & set(path.relative_to(folder).parts)
        if listed and path.suffix in (".json", ".csv", ".html", ".png", ".ckpt"):
            console.print(str(path), soft_wrap=True, highlight=False)
