"""A refused command leaves nothing behind."""

from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig
from pytorch_lightning.utilities import rank_zero_only

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.refusal import RefusedLeavesNothing
from memguard.errors import ConfigError


def composed(folder: Path) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        overrides = [f"hydra.run.dir={folder}", "hydra.job.name=train"]
        config = compose("train", overrides, return_hydra_config=True)
    config.hydra.runtime.output_dir = str(folder)
    return config


def run(folder: Path, error: Exception | None, *work: str) -> None:
    """Do what Hydra does around a run: announce it, make its folder, record, and report the end."""
    callback = RefusedLeavesNothing()
    callback.on_run_start(composed(folder))
    end_job(callback, folder, error, *work)


def end_job(
    callback: RefusedLeavesNothing, folder: Path, error: Exception | None, *work: str
) -> None:
    """Do what Hydra does from the start of a job to its end."""
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    for name in ("config", "hydra", "overrides"):
        (folder / ".hydra" / f"{name}.yaml").write_text("new")
    for name in ("train.log", *work):
        (folder / name).write_text("new")
    ended = JobReturn(status=JobStatus.FAILED if error else JobStatus.COMPLETED)
    ended.return_value = error
    callback.on_job_end(composed(folder), ended)


def test_a_refused_run_leaves_no_folder_nor_those_made_for_it(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    run(tmp_path / "runs" / "street_pred" / "today", ConfigError("It cannot work."))
    assert list(tmp_path.iterdir()) == [tmp_path / "runs"]
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_neighbour_that_began_meanwhile_stays(tmp_path: Path, monkeypatch: Any) -> None:
    beside = tmp_path / "runs" / "beside"
    started = RefusedLeavesNothing.on_run_start

    def and_another(self: RefusedLeavesNothing, config: DictConfig, **kwargs: Any) -> None:
        started(self, config, **kwargs)
        beside.mkdir(parents=True)

    monkeypatch.setattr(RefusedLeavesNothing, "on_run_start", and_another)
    run(tmp_path / "runs" / "today", ConfigError("It cannot work."))
    assert list((tmp_path / "runs").iterdir()) == [beside]


@pytest.mark.parametrize(
    ("error", "work"),
    [
        (ConfigError("After the first step."), ["metrics.csv"]),  # its work had begun
        (RuntimeError("A fault of ours."), []),
        (None, []),
    ],
)
def test_whatever_else_ends_a_run_leaves_its_folder(
    tmp_path: Path, error: Exception | None, work: list[str]
) -> None:
    run(tmp_path / "runs", error, *work)
    files = {path.name for path in (tmp_path / "runs").iterdir()}
    assert files == {".hydra", "train.log", *work}


def test_a_folder_that_was_there_stays_with_its_record(tmp_path: Path) -> None:
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text("of the training that ran here")
    run(tmp_path, ConfigError("It cannot work."))
    assert (tmp_path / ".hydra" / "config.yaml").read_text() == "of the training that ran here"
    assert (tmp_path / "train.log").exists()


def test_a_refused_job_leaves_no_folder_in_its_sweep(tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    (sweep / "1").mkdir(parents=True)  # of an earlier command
    callback, config = RefusedLeavesNothing(), composed(sweep)
    config.hydra.sweep.dir = str(sweep)
    callback.on_multirun_start(config)
    (sweep / "multirun.yaml").touch()
    for number, error in enumerate((ConfigError("It cannot work."),) * 2 + (None,)):
        end_job(callback, sweep / str(number), error)
    assert {path.name for path in sweep.iterdir()} == {"1", "2", "multirun.yaml"}


def test_only_the_first_of_several_processes_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rank_zero_only, "rank", 1, raising=False)
    run(tmp_path / "runs", ConfigError("It cannot work."))
    assert (tmp_path / "runs" / ".hydra").exists()
