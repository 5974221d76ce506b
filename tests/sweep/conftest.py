"""The folder of a sweep's job."""

import json
from pathlib import Path


def job(sweep: Path, name: str, overrides: list[str], auroc: float | None) -> None:
    """Write a job's folder, as far as the report of a sweep reads it."""
    (sweep / name / ".hydra").mkdir(parents=True)
    (sweep / name / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    if auroc is None:
        (sweep / name / "failure.txt").write_text("It was not to be.\n")
    else:
        (sweep / name / "metrics.json").write_text(json.dumps({"test/auroc": auroc}))
