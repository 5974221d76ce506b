"""The table and the figures of a sweep."""

import csv
from pathlib import Path
from typing import Any

import pytest

from memguard.sweep.jobs import read_jobs
from memguard.sweep.report import (
    by_setting,
    shown_metrics,
    sweep_figures,
    write_report,
    write_table,
)
from tests.sweep.conftest import job


def test_jobs_that_differ_in_seed_alone_are_one_settings_spread(tmp_path: Path) -> None:
    for size, seed, auroc in ((5, 0, 0.7), (5, 1, 0.9), (10, 0, 0.6), (10, 1, None)):
        overrides = ["dataset=ped2", f"memory.size={size}", f"seed={seed}"]
        job(tmp_path, f"{size}_{seed}", overrides, auroc)
    axes, results = by_setting(read_jobs(tmp_path))
    assert axes == ["memory.size"]
    found = {setting: [run["test/auroc"] for run in runs] for setting, runs in results.items()}
    assert found == {(5,): [0.7, 0.9], (10,): [0.6]}


def test_the_table_has_varied_keys_status_and_metrics(tmp_path: Path) -> None:
    job(tmp_path, "a", ["model=mnad", "memory=mnad"], 0.75)
    job(tmp_path, "b", ["model=mnad", "memory=none"], None)
    write_table(tmp_path / "sweep.csv", read_jobs(tmp_path))
    with (tmp_path / "sweep.csv").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert "model" not in first
    assert (first["memory"], first["status"], first["test/auroc"]) == ("mnad", "finished", "0.75")
    assert (second["memory"], second["status"]) == ("none", "failed")
    assert (second["test/auroc"], second["failure"]) == ("", "It was not to be.")


def test_each_memory_of_a_sweep_has_a_row_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place, name in enumerate(("mnad", "memae", "growing", "none")):
        job(tmp_path, name, ["model=mnad_tiny", f"memory={name}"], 0.5 + place / 10)
    jobs = read_jobs(tmp_path)
    write_report(tmp_path, jobs, "test/auroc")
    printed = capsys.readouterr().out
    rows = [printed.index(f" {name} ") for name in ("none", "growing", "memae", "mnad")]
    assert rows == sorted(rows)  # the highest first
    ranking = sweep_figures(jobs, ["test/auroc"])["ranking"].axes[0]
    labels = {label.get_text() for label in ranking.get_yticklabels()}
    assert labels == {"memory=mnad", "memory=memae", "memory=growing", "memory=none"}


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
def test_the_varied_keys_decide_on_the_figures(
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


@pytest.mark.parametrize("taken", ["sweep.csv", "figures"])
def test_where_table_or_figures_cannot_be_written_the_ranking_is_printed(
    taken: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for size, auroc in ((2, 0.625), (5, 0.875)):
        job(tmp_path, str(size), [f"memory.size={size}"], auroc)
    if taken == "figures":
        (tmp_path / taken).touch()
    else:
        (tmp_path / taken).mkdir()
    write_report(tmp_path, read_jobs(tmp_path), "test/auroc")
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}/{taken}")
    assert f"the same command with hydra.sweep.dir={tmp_path} writes table and figures" in message
    printed = capsys.readouterr().out
    assert printed.index("0.875") < printed.index("0.625")
    assert (tmp_path / "sweep.csv").is_file() == (taken == "figures")


def test_the_best_setting_ranks_first(tmp_path: Path) -> None:
    for size, auroc in ((2, 0.6), (5, 0.9), (10, 0.8)):
        job(tmp_path, str(size), [f"memory.size={size}"], auroc)
    axes = sweep_figures(read_jobs(tmp_path), ["test/auroc"])["ranking"].axes[0]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["memory.size=5", "memory.size=10", "memory.size=2"]
    assert axes.yaxis_inverted()
