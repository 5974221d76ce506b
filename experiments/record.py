"""Record a finished run: ``python experiments/record.py RUN STUDY NAME``.

Add the run's command, commit, seed, machine, minutes and metrics to ``runs.csv``, and its scores
of each frame to ``scores/STUDY/NAME.csv.gz``. A run of the same study and name is replaced.
"""

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FILES = ("provenance.json", "metrics.json", "scores.csv")
PROVENANCE = ("study", "run", "command", "commit", "seed", "machine", "minutes")


def record(run: Path, study: str, name: str, folder: Path = HERE) -> None:
    """Add a run to the table of runs.

    Args:
        run: The folder of a run that has finished its test.
        study: The study that cites the run, such as ``reproduction``.
        name: The run's name in that study, such as ``pred_seed0``.
        folder: Where ``runs.csv`` and ``scores/`` are.

    Raises:
        SystemExit: The run has no test.
    """
    if missing := [name for name in FILES if not (run / name).is_file()]:
        sys.exit(f"{run / missing[0]} is missing: record a run that has finished its test.")
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    row = {"study": study, "run": name}
    row |= {column: provenance[column] for column in PROVENANCE[2:]}
    row["command"] = _portable(row["command"])
    if provenance.get("tags"):
        row["tags"] = " ".join(provenance["tags"])
    row |= {metric: f"{value:.7g}" for metric, value in metrics.items()}
    add(row, folder / "runs.csv")
    scores = folder / "scores" / study / f"{name}.csv.gz"
    scores.parent.mkdir(parents=True, exist_ok=True)
    content = (run / "scores.csv").read_bytes().replace(b"\r\n", b"\n")
    scores.write_bytes(gzip.compress(content, mtime=0))


def add(row: dict[str, Any], table: Path) -> None:
    """Add a row to the table, with a new column for each metric that it does not have yet.

    A row of the same study and name is replaced.
    """
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or PROVENANCE)
        rows = [old for old in reader if (old["study"], old["run"]) != (row["study"], row["run"])]
    columns += [column for column in row if column not in columns]
    with table.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])


def _portable(command: str) -> str:
    """Leave out the options that name a folder of one machine or the part a training resumed."""
    own = ["hydra.run.dir=", "dataset.root=/", "paths.data_dir=/"]
    if "memguard.train" in command and "train=false" not in command:
        own.append("checkpoint=")
    return " ".join(word for word in command.split() if not word.startswith(tuple(own)))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    record(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
