"""Record a finished run in a study: ``python experiments/record.py RUN STUDY NAME [FIGURE…]``.

Adds the run's metrics, provenance and resolved configuration to the study's ``results.json`` under
NAME, and copies each FIGURE of the run, such as ``scores``, to ``figures/NAME_FIGURE.png``. A name
that is there already is replaced.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

SETTINGS = (
    "task", "model", "memory", "loss", "guard", "scoring", "data", "optimizer", "batch_norm",
    "trainer",
)  # fmt: skip


def record(run: Path, study: Path, name: str, figures: Sequence[str]) -> None:
    """Add one run to a study.

    Args:
        run: A run folder with ``metrics.json`` and ``provenance.json``.
        study: Where ``results.json`` and ``figures/`` are.
        name: Of the entry, such as ``pred_seed0``.
        figures: Which of the run's figures to copy, by the names of their files without the suffix.
    """
    config = yaml.safe_load((run / ".hydra" / "config.yaml").read_text(encoding="utf-8"))
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    entry = {
        "metrics": json.loads((run / "metrics.json").read_text(encoding="utf-8")),
        "provenance": provenance | {"command": _anywhere(provenance["command"])},
        "config": {key: found for key in SETTINGS if (found := _set(config.get(key)))},
    }
    results = study / "results.json"
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    (study / "figures").mkdir(parents=True, exist_ok=True)
    text = json.dumps(known | {name: entry}, indent=2, ensure_ascii=False)
    results.write_text(text + "\n", encoding="utf-8")
    for figure in figures:
        copy = study / "figures" / f"{name}_{figure}.png"
        shutil.copy(run / "figures" / f"{figure}.png", copy)


def _anywhere(command: str) -> str:
    """Leave out where a run was written, and the earlier part that a training went on from."""
    own = ("hydra.run.dir=", "checkpoint=") if "memguard.train" in command else ("hydra.run.dir=",)
    return " ".join(word for word in command.split() if not word.startswith(own))


def _set(setting: Any) -> Any:
    """What a test leaves as it was in training is null in its configuration, and left out."""
    if not isinstance(setting, dict):
        return setting
    return {name: value for name, value in setting.items() if value is not None}


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    record(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
