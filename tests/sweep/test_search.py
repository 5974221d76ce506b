"""Searches: processes that share a study, pruning, and what a study does not accept."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

optuna = pytest.importorskip("optuna")

from memguard.sweep import search, study  # noqa: E402
from memguard.sweep.jobs import PRUNED, Pruned  # noqa: E402
from memguard.sweep.pruning import Pruning  # noqa: E402
from memguard.sweep.start import require_jobs, require_no_password  # noqa: E402

SPACE = {"memory.size": "choice(3,5,7,9)", "optimizer.lr": "tag(log, interval(0.001, 0.1))"}


def settings(folder: Path, **sweeper: Any) -> DictConfig:
    """Give Hydra's part of a search's configuration."""
    return OmegaConf.create(
        {
            "sweep": {"dir": str(folder)},
            "sweeper": {"storage": None, "study_name": None, **sweeper},
        }
    )


class Launcher:
    """Run jobs by a function of their overrides."""

    def __init__(self, work: Any) -> None:
        self.work = work
        self.launched: list[dict[str, str]] = []

    def launch(self, jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        returned = []
        for words in jobs:
            values = dict(word.split("=", 1) for word in words)
            self.launched.append(values)
            returned.append(JobReturn(_return_value=self.work(values), status=JobStatus.COMPLETED))
        return returned


def a_search(folder: Path, work: Any, *, n_trials: int = 4, seed: int = 0, **more: Any) -> Any:
    made = search.Search(
        sampler=optuna.samplers.TPESampler(seed=seed),
        direction="maximize",
        storage=None,
        study_name=None,
        n_trials=n_trials,
        n_jobs=more.pop("n_jobs", 1),
        max_failure_rate=more.pop("max_failure_rate", 1.0),
        search_space=None,
        custom_search_space=None,
        params=OmegaConf.create(SPACE | more.pop("space", {})),
    )
    made._hydra = settings(folder, **more)
    made.launcher = Launcher(work)
    return made


def loaded(folder: Path) -> Any:
    hydra = settings(folder)
    return optuna.load_study(study.study_name(hydra), study.open_storage(hydra))


def rate(values: dict[str, str]) -> float:
    return float(values["optimizer.lr"])


def test_a_search_finds_the_best_of_its_jobs_and_writes_it(tmp_path: Path) -> None:
    made = a_search(tmp_path, rate, n_trials=5)
    made.sweep(["task=recon"])
    rates = [rate(values) for values in made.launcher.launched]
    assert len(set(rates)) == 5
    assert {values["task"] for values in made.launcher.launched} == {"recon"}
    best = OmegaConf.load(tmp_path / search.BEST)
    assert best.best_value == max(rates)
    assert best.best_params["optimizer.lr"] == max(rates)


def test_a_fixed_value_is_not_searched(tmp_path: Path) -> None:
    made = a_search(tmp_path, rate, n_trials=3)
    made.sweep(["memory.size=11"])
    assert [values["memory.size"] for values in made.launcher.launched] == ["11"] * 3
    assert set(loaded(tmp_path).best_params) == {"optimizer.lr"}


def test_processes_share_the_number_of_jobs_and_draw_different_ones(tmp_path: Path) -> None:
    second = a_search(tmp_path, rate, n_trials=3)

    def work(values: dict[str, str]) -> float:
        if not second.launcher.launched:  # in the middle of the first job of the first search
            _without_waiting(second)
        return rate(values)

    first = a_search(tmp_path, work, n_trials=5)
    first.sweep([])
    drawn = [*first.launcher.launched, *second.launcher.launched]
    assert len(second.launcher.launched) == 2  # the third runs in the first search
    assert len(drawn) == 5
    assert len({rate(values) for values in drawn}) == 5  # although both have the same seed


def test_processes_that_draw_the_last_job_at_once_run_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (a_search(tmp_path, rate, n_trials=2, seed=seed) for seed in (0, 1))
    draw = first._draw

    def other_is_faster(*arguments: Any, **more: Any) -> Any:
        if len(first.launcher.launched) == 1 and not second.launcher.launched:
            second.sweep([])  # after the first search has counted what is missing
        return draw(*arguments, **more)

    monkeypatch.setattr(first, "_draw", other_is_faster)
    first.sweep([])
    assert len(first.launcher.launched) == len(second.launcher.launched) == 1


def _without_waiting(made: Any) -> None:
    """Run a search to where it would wait for the other."""

    def wait(seconds: float) -> None:
        raise TimeoutError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search.time, "sleep", wait)
        with pytest.raises(TimeoutError):
            made.sweep([])


def test_a_search_that_starts_again_adds_the_missing_jobs_and_those_that_failed(
    tmp_path: Path,
) -> None:
    outcomes = iter([0.3, None, 0.5])
    before = a_search(tmp_path, lambda values: next(outcomes), n_trials=3)
    before.sweep([])
    failed = before.launcher.launched[1]["optimizer.lr"]
    after = a_search(tmp_path, rate, n_trials=4)
    after.sweep([])
    assert [each["optimizer.lr"] for each in after.launcher.launched].count(failed) == 1
    assert len(after.launcher.launched) == 2
    again = a_search(tmp_path, rate, n_trials=4)
    again.sweep([])
    assert again.launcher.launched == []


def test_the_job_of_a_dead_process_is_drawn_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(values: dict[str, str]) -> float:
        raise KeyboardInterrupt

    dead = a_search(tmp_path, killed, n_trials=2)
    with pytest.raises(KeyboardInterrupt):
        dead.sweep([])
    lost = loaded(tmp_path).trials[0].params
    connection = study.open_storage(settings(tmp_path))
    with connection.engine.begin() as database:
        database.exec_driver_sql(
            "UPDATE trial_heartbeats SET heartbeat = datetime('now', '-1 hour')"
        )
    after = a_search(tmp_path, rate, n_trials=2)
    after.sweep([])
    assert len(after.launcher.launched) == 2
    assert rate(after.launcher.launched[0]) == lost["optimizer.lr"]


def test_a_running_trial_has_a_heartbeat(tmp_path: Path) -> None:
    beats = []

    def work(values: dict[str, str]) -> float:
        with study.open_storage(settings(tmp_path)).engine.begin() as database:
            found = database.exec_driver_sql("SELECT count(*) FROM trial_heartbeats")
            beats.append(found.scalar())
        return 0.5

    a_search(tmp_path, work, n_trials=1).sweep([])
    assert beats == [1]


def test_two_trials_with_the_same_values_do_not_run_at_once(tmp_path: Path) -> None:
    space = {"memory.size": "choice(3,5)", "optimizer.lr": "choice(0.01)"}
    together: list[list[str]] = []
    made = a_search(tmp_path, lambda values: 0.5, n_trials=8, n_jobs=4, space=space)
    launch = made.launcher.launch

    def launched(jobs: Sequence[Sequence[str]], initial_job_idx: int) -> list[JobReturn]:
        together.append([job[0] for job in jobs])
        return launch(jobs, initial_job_idx)

    made.launcher.launch = launched
    made.sweep([])
    assert together
    assert all(len(set(jobs)) == len(jobs) for jobs in together)


def test_pruned_failed_and_undefined_results_have_their_state(tmp_path: Path) -> None:
    outcomes = iter([0.3, PRUNED, None, float("nan")])
    made = a_search(tmp_path, lambda values: next(outcomes), n_trials=4)
    made.sweep([])
    states = [trial.state.name for trial in loaded(tmp_path).trials]
    assert states == ["COMPLETE", "PRUNED", "FAIL", "FAIL"]


def test_a_search_without_a_finished_job_has_no_best(tmp_path: Path) -> None:
    made = a_search(tmp_path, lambda values: PRUNED, n_trials=2)
    made.sweep([])
    assert not (tmp_path / search.BEST).exists()


def test_more_failures_than_accepted_end_the_search(tmp_path: Path) -> None:
    made = a_search(tmp_path, lambda values: None, max_failure_rate=0.5)
    with pytest.raises(SystemExit, match=r"1 of 1 jobs failed, more than .*max_failure_rate=0.5"):
        made.sweep([])


def test_other_values_in_the_same_study_are_refused(tmp_path: Path) -> None:
    a_search(tmp_path, rate, n_trials=1).sweep([])
    other = a_search(tmp_path, rate, n_trials=2, space={"memory.size": "choice(11,12)"})
    with pytest.raises(SystemExit, match=f"The study {tmp_path.name} searched other values"):
        other.sweep([])


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("nonsense:secret", "SQLAlchemy does not know the address"),
        ("sqlite:////no/such/folder/a.db", "unable to open database file"),
        ("postgresql://me:secret@host/x", "DB access module"),
    ],
)
def test_a_storage_that_cannot_be_used_is_a_sentence_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, storage: str, reason: str
) -> None:
    monkeypatch.setattr(study.time, "sleep", lambda seconds: None)
    with pytest.raises(SystemExit, match=reason) as error:
        study.open_storage(settings(tmp_path, storage=storage))
    assert "MEMGUARD_STORAGE" in str(error.value)
    assert "secret" not in str(error.value)


def test_a_typed_password_is_refused() -> None:
    require_no_password(["hydra.sweeper.storage=postgresql://me@host/x", "hydra.job.name=a"])
    require_no_password(["hydra.sweeper.storage=null"])
    with pytest.raises(SystemExit, match="MEMGUARD_STORAGE") as error:
        require_no_password(["hydra.sweeper.storage='postgresql://me:secret@host/x'"])
    assert "secret" not in str(error.value)


def a_trainer(epoch: int, **metrics: float) -> Any:
    strategy = SimpleNamespace(broadcast=lambda value: value)
    return SimpleNamespace(
        callback_metrics=metrics, current_epoch=epoch, strategy=strategy, sanity_checking=False,
        is_global_zero=True,
    )  # fmt: skip


def test_a_job_below_the_median_of_earlier_ones_is_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memguard.sweep.pruning.HydraConfig.get", lambda: settings(tmp_path))
    values = iter([30.0, 20.0, 24.0, 26.0])
    reasons: list[str] = []

    def work(words: dict[str, str]) -> float | str:
        pruner = optuna.pruners.MedianPruner(n_startup_trials=2, n_warmup_steps=1)
        pruning = Pruning(pruner, metric="psnr")
        (trial,) = (word for key, word in words.items() if key.endswith(study.TRIAL))
        monkeypatch.setitem(os.environ, study.TRIAL, trial.strip("'"))
        pruning.on_fit_start(a_trainer(0), None)  # type: ignore[arg-type]
        value = next(values)
        try:
            for epoch in range(3):
                pruning.on_validation_end(a_trainer(epoch, psnr=value + epoch), None)  # type: ignore[arg-type]
        except Pruned as reason:
            reasons.append(str(reason))
            return PRUNED
        return value

    a_search(tmp_path, work, n_trials=4).sweep([])
    assert reasons == ["psnr is 25 after 2 epochs."]
    states = [trial.state.name for trial in loaded(tmp_path).trials]
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "COMPLETE"]  # the median is 26
    assert [len(t.intermediate_values) for t in loaded(tmp_path).trials] == [3, 3, 2, 3]


def test_a_training_that_is_no_job_of_a_search_is_never_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memguard.sweep.pruning.HydraConfig.get", lambda: settings(tmp_path))
    monkeypatch.delenv(study.TRIAL, raising=False)
    pruning = Pruning(optuna.pruners.ThresholdPruner(lower=100.0), metric="psnr")
    pruning.on_fit_start(a_trainer(0), None)  # type: ignore[arg-type]
    pruning.on_validation_end(a_trainer(5, psnr=1.0), None)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_search_without_jobs_is_refused() -> None:
    require_jobs(None)
    require_jobs(1)
    with pytest.raises(SystemExit, match="n_trials=0 cannot work: it must be at least 1"):
        require_jobs(0)
