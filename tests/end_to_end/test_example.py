"""The example project, installed beside memguard's wheel and run from an empty folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "examples" / "my_project"

pytestmark = pytest.mark.slow


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """An empty folder beside the installed packages; PyTorch is that of the tests."""
    packages, folder = tmp_path / "packages", tmp_path / "home"
    folder.mkdir()
    subprocess.run(
        [
            sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index",
            "--no-build-isolation", "--target", packages, ROOT, PROJECT,
        ],
        check=True,
    )  # fmt: skip
    return folder


def said(home: Path, *command: str | Path, fails: bool = False) -> str:
    """Run a command in the folder with the installed packages, and return all that it says."""
    variables = os.environ | {
        "PYTHONPATH": str(home.parent / "packages"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "MEMGUARD_CACHE": str(home.parent / "cache"),
        "OMP_NUM_THREADS": "1",
    }
    variables.pop("MEMGUARD_DATA", None)
    done = subprocess.run(
        command, cwd=home, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


def test_the_example_runs_from_the_installed_wheel(home: Path) -> None:
    shown = "import memguard, my_project; print(memguard.__file__, my_project.__file__)"
    for place in said(home, sys.executable, "-c", shown).split():
        assert Path(place).is_relative_to(home.parent / "packages")
    output = said(home, "sh", PROJECT / "run.sh")
    assert "is not available" not in output  # of Hydra, for a folder that is no package
    (runs,) = (home / "runs").iterdir()
    trained, resumed, evaluated = (
        json.loads((runs / name / "metrics.json").read_text())
        for name in ("trained", "resumed", "evaluated")
    )
    assert trained["test/best_f1"] > 0.9
    assert trained["test/auroc"] > 0.9
    assert {"train/frequency", "memory/overlap"} <= trained.keys()
    assert resumed["train/loss"] == pytest.approx(trained["train/loss"], rel=1e-3)
    first = (runs / "resumed" / "curves" / "metrics.csv").read_text().splitlines()[1]
    assert not first.startswith("0,")
    assert evaluated["test/best_f1"] == pytest.approx(trained["test/best_f1"])
    assert len(list(runs.glob("sweep/*/metrics.json"))) == 2
    assert list((runs / "scored").iterdir())

    checkpoint = runs / "trained" / "checkpoints" / "last.ckpt"
    evaluate = (sys.executable, "-m", "memguard.evaluate", f"checkpoint={checkpoint}")
    assert "add trust=my_project" in said(home, *evaluate, fails=True)
    load = f"import memguard; memguard.load({str(checkpoint)!r}, trust=['my_project'])"
    said(home, sys.executable, "-c", load)
