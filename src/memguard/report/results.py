"""The results of a run: metrics in a file, and a summary on the screen."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from memguard.files import written_whole


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an indented JSON file, whole or not at all."""
    text = json.dumps(content, indent=2, ensure_ascii=False)
    with written_whole(path) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")


def print_summary(
    title: str, metrics: dict[str, float], left_out: Sequence[str], folder: Path
) -> None:
    """Print the metrics of a run, and the paths of its files.

    Args:
        title: The title above the table.
        metrics: The metrics, by name.
        left_out: The names of the videos that the macro average leaves out.
        folder: The run folder.
    """
    console = Console(markup=False)
    table = Table(title=title, title_justify="left")
    table.add_column("metric")
    table.add_column("value", justify="right")
    for name, value in metrics.items():
        of_result = name.startswith(("test/", "guard/") if "test/frames" in metrics else "val/")
        if of_result or name == "memory/items":
            counts = "frames" in name or name == "memory/items"
            table.add_row(name, f"{value:.0f}" if counts else f"{value:.4f}")
    if table.rows:
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
