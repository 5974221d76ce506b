"""What a sweep's folder says, and what is drawn of it."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from memguard.config.compose import config_folder, register_resolvers
from memguard.sweep.jobs import constant_keys, read_jobs, varied
from memguard.sweep.report import by_setting, shown_metrics, sweep_figures, write_table


def job(sweep: Path, name: str, overrides: list[str], auroc: float | None) -> None:
    """What a job leaves, as far as a sweep's report reads it."""
    (sweep / name / ".hydra").mkdir(parents=True)
    (sweep / name / ".hydra" / "overrides.yaml").write_text(json.dumps(overrides))
    if auroc is None:
        (sweep / name / "failure.txt").write_text("It was not to be.\n")
    else:
        (sweep / name / "metrics.json").write_text(json.dumps({"test/auroc": auroc}))


def swept(name: str, *overrides: str) -> DictConfig:
    """What a sweep's command composes, Hydra's part included."""
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return compose("train", [f"sweep={name}", *overrides], return_hydra_config=True)


def test_jobs_that_differ_in_seed_alone_are_one_settings_spread(tmp_path: Path) -> None:
    for size, seed, auroc in ((5, 0, 0.7), (5, 1, 0.9), (10, 0, 0.6), (10, 1, None)):
        overrides = ["dataset=ped2", f"memory.size={size}", f"seed={seed}"]
        job(tmp_path, f"{size}_{seed}", overrides, auroc)
    axes, results = by_setting(read_jobs(tmp_path))
    assert axes == ["memory.size"]
    found = {setting: [run["test/auroc"] for run in runs] for setting, runs in results.items()}
    assert found == {(5,): [0.7, 0.9], (10,): [0.6]}


def test_settings_of_a_job_are_text_and_nothing_in_them_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEMGUARD_TEST_SECRET", "secret")
    texts = ["${oc.env:MEMGUARD_TEST_SECRET}", "{_target_: os.system, command: true}", "glob(*)"]
    job(tmp_path, "a", [f"+x{i}={text}" for i, text in enumerate(texts)], 0.5)
    (read,) = read_jobs(tmp_path)
    assert read.settings["x0"] == texts[0]
    assert "secret" not in str(read.settings)
    assert read.settings["x1"] == "{'_target_': 'os.system', 'command': True}"


def test_the_table_has_what_varied_how_it_ended_and_the_metrics(tmp_path: Path) -> None:
    job(tmp_path, "a", ["model=mnad", "memory=mnad"], 0.75)
    job(tmp_path, "b", ["model=mnad", "memory=none"], None)
    write_table(tmp_path / "sweep.csv", read_jobs(tmp_path))
    with (tmp_path / "sweep.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert "model" not in first
    assert (first["memory"], first["status"], first["test/auroc"]) == ("mnad", "finished", "0.75")
    assert (second["memory"], second["status"]) == ("none", "failed")
    assert (second["test/auroc"], second["failure"]) == ("", "It was not to be.")


@pytest.mark.parametrize(
    ("swept_values", "figures"),
    [
        ([["memory.size=5"], ["memory.size=10"]], {"ranking", "curve"}),
        ([["seed=0"], ["seed=1"]], {"ranking", "curve"}),
        ([["a=1", "b=1"], ["a=1", "b=1e-3"], ["a=2", "b=1"]], {"ranking", "heat_map"}),
        ([["a=1", "b=1", "c=1"], ["a=2", "b=2", "c=2"]], {"ranking"}),
        ([["task=pred"], ["task=recon"]], {"ranking"}),
        ([["a=1"]], set()),
    ],
)
def test_what_varied_decides_on_the_figures(
    swept_values: list[list[str]], figures: set[str], tmp_path: Path
) -> None:
    for number, overrides in enumerate(swept_values):
        job(tmp_path, str(number), overrides, 0.5 + number / 10)
    jobs = read_jobs(tmp_path)
    assert set(sweep_figures(jobs, shown_metrics(jobs, "val/pseudo_auroc"))) == figures


def test_a_curve_has_the_means_and_every_run(tmp_path: Path) -> None:
    for size, seed, auroc in ((5, 0, 0.7), (5, 1, 0.9), (20, 0, 0.6)):
        job(tmp_path, f"{size}_{seed}", [f"memory.size={size}", f"seed={seed}"], auroc)
    axes = sweep_figures(read_jobs(tmp_path), ["test/auroc"])["curve"].axes[0]
    lines: list[list[Any]] = [list(map(list, zip(*line.get_data()))) for line in axes.lines]  # type: ignore[call-overload]  # noqa: B905
    assert lines[0] == [[5, pytest.approx(0.8)], [20, pytest.approx(0.6)]]
    assert sorted(point for line in lines[1:] for point in line) == [[5, 0.7], [5, 0.9], [20, 0.6]]


def test_the_best_setting_ranks_first(tmp_path: Path) -> None:
    for size, auroc in ((2, 0.6), (5, 0.9), (10, 0.8)):
        job(tmp_path, str(size), [f"memory.size={size}"], auroc)
    axes = sweep_figures(read_jobs(tmp_path), ["test/auroc"])["ranking"].axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["memory.size=5", "memory.size=10", "memory.size=2"]
    assert axes.yaxis_inverted()


def test_presets_vary_what_their_names_say() -> None:
    sizes = swept("memory_size").hydra
    assert sizes.mode.name == "MULTIRUN"
    assert set(sizes.sweeper.params) == {"memory.size", "seed"}
    assert set(swept("loss_weights").hydra.sweeper.params) == {
        "loss.compactness", "loss.separateness",
    }  # fmt: skip


def test_a_search_maximises_a_metric_that_needs_no_labels() -> None:
    config = swept("search")
    assert config.hydra.sweeper._target_.endswith("OptunaSweeper")
    assert config.hydra.sweeper.direction == "maximize"
    assert config.optimized_metric == "val/pseudo_auroc"


def test_a_cluster_gets_what_the_command_asks_for() -> None:
    launcher = swept(
        "memory_size", "hydra/launcher=submitit_slurm", "hydra.launcher.partition=gpu",
        "hydra.launcher.gpus_per_node=1", "hydra.launcher.timeout_min=600",
    ).hydra.launcher  # fmt: skip
    assert launcher._target_.endswith("SlurmLauncher")
    assert (launcher.partition, launcher.gpus_per_node, launcher.timeout_min) == ("gpu", 1, 600)


def test_jobs_are_read_by_number_with_how_they_ended_and_what_varied(tmp_path: Path) -> None:
    for size in ("10", "5", "none"):
        job(tmp_path, size, [f"memory.size={size}", "paths.cache_dir=/a", "task=pred"], 0.5)
    job(tmp_path, "7", ["memory.size=7", "paths.cache_dir=/b", "task=pred"], None)
    job(tmp_path, "9", ["memory.size=9", "+extra=1", "task=pred"], None)
    (tmp_path / "9" / "failure.txt").unlink()
    (tmp_path / "5" / "provenance.json").write_text(json.dumps({"minutes": 3.5}))
    jobs = read_jobs(tmp_path)
    assert [each.settings["memory.size"] for each in jobs] == [5, 7, 9, 10, "none"]
    ends = ["finished", "failed", "unfinished", "finished", "finished"]
    assert [each.status for each in jobs] == ends
    assert [each.minutes for each in jobs] == [3.5, None, None, None, None]
    assert set(varied(jobs)) == {"memory.size", "extra"}


def test_a_key_that_is_swept_is_not_constant_wherever_else_it_is_set() -> None:
    command = ["dataset=ped2", "memory.size=7", "memory.size=5,10", "seed=range(3)"]
    assert constant_keys(command) == ["dataset"]
