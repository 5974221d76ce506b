"""Every stored epoch of a run, tested beside its last checkpoint."""

import csv
import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.end_to_end.conftest import SMALL, run_command

WORDS = [word for word in SMALL if not word.startswith(("trainer.max_epochs", "data.holdout"))]


def run(module: str, *words: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Run a command that writes to a folder."""
    return run_command(module, *words, f"hydra.run.dir={folder}", folder=folder)


@pytest.fixture(scope="module")
def trained(shared_scene: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training of three epochs, each of which is stored, on a scene with tracks."""
    folder, root = tmp_path_factory.mktemp("trained"), tmp_path_factory.mktemp("root") / "scene"
    shutil.copytree(shared_scene, root)
    (root / "tracks").mkdir()
    for name in ("0", "1"):
        (root / "tracks" / f"{name}.txt").write_text("0,12,10,18,21,29\n0,13,15,18,26,29\n")
    done = run(
        "train", *WORDS, f"dataset.root={root}", "trainer.max_epochs=3",
        "callbacks=each_epoch", folder=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_each_epoch_is_tested_and_the_best_named_an_upper_bound(
    trained: Path, tmp_path: Path
) -> None:
    done = run("evaluate", f"run={trained}", "every_epoch=true", folder=tmp_path / "test")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "test" / "tables" / "epochs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows[:4]] == ["1", "2", "3", ""]
    assert "upper bound, chosen by the test's labels" in rows[4]["checkpoint"]
    *epochs, last, best, added = (float(row["test/auroc"]) for row in rows)
    assert (best, added) == (max(epochs), pytest.approx(max(epochs) - last))
    assert "upper bound, chosen by the test's labels" in " ".join(done.stdout.split())

    # The last checkpoint's is the result of the run, and the last epoch's own.
    metrics = json.loads((tmp_path / "test" / "metrics.json").read_text())
    assert metrics["test/auroc"] == pytest.approx(last) == pytest.approx(epochs[-1])
    first = trained / "checkpoints" / "epoch00.ckpt"
    alone = run("evaluate", f"checkpoint={first}", folder=tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    found = json.loads((tmp_path / "alone" / "metrics.json").read_text())
    for name, value in found.items():
        if name in rows[0]:
            assert float(rows[0][name]) == pytest.approx(value, abs=1e-9), name
    assert {"test/rbdc", "test/tbdc", "test/hit_rate"} <= set(rows[0])
    assert (tmp_path / "test" / "figures" / "epochs.png").stat().st_size > 5000


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Give the sentence that refuses a command."""
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def test_a_run_without_stored_epochs_is_refused_with_the_remedy(
    trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "other" / "checkpoints").mkdir(parents=True)
    shutil.copy(trained / "checkpoints" / "last.ckpt", tmp_path / "other" / "checkpoints")
    words = f"run={tmp_path}/other", "every_epoch=true"
    said = refusal(run("evaluate", *words, folder=tmp_path / "test"))
    assert f"{tmp_path}/other has no checkpoint of single epochs" in said
    assert "train with callbacks=each_epoch" in said
    assert not (tmp_path / "test" / "metrics.json").exists()


def test_a_dataset_without_labels_is_refused(trained: Path, scene: Path, tmp_path: Path) -> None:
    (scene / "labels.csv").unlink()
    words = f"run={trained}", "every_epoch=true", "dataset=folder", f"dataset.root={scene}"
    said = refusal(run("evaluate", *words, folder=tmp_path / "test"))
    assert "compares epochs by the test's labels, and folder has none: add them" in said
    assert not (tmp_path / "test" / "metrics.json").exists()


def test_labels_of_one_class_are_refused(trained: Path, scene: Path, tmp_path: Path) -> None:
    (scene / "labels.csv").write_text("video,start,end\n")
    words = f"run={trained}", "every_epoch=true", "dataset=folder", f"dataset.root={scene}"
    said = refusal(run("evaluate", *words, folder=tmp_path / "test"))
    assert "optimized_metric=test/auroc, which this test does not have" in said


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    said = refusal(run("evaluate", f"run={tmp_path}", folder=tmp_path / "test"))
    assert f"There is no checkpoint {tmp_path}/checkpoints/last.ckpt: set run to" in said


def test_epochs_are_those_of_a_run(tmp_path: Path) -> None:
    said = refusal(run("evaluate", "checkpoint=a.ckpt", "every_epoch=true", folder=tmp_path / "t"))
    assert "every_epoch=true cannot work without run: add run=…" in said
