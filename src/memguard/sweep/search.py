"""A search by Optuna: several processes draw the jobs of one study, and poor jobs are pruned."""

import logging
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import optuna
from hydra.conf import HydraConf
from hydra.core.utils import JobReturn
from hydra.types import HydraContext, TaskFunction
from hydra_plugins.hydra_optuna_sweeper._impl import (
    OptunaSweeperImpl,
    create_params_from_overrides,
)
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState

from memguard.sweep.jobs import PRUNED
from memguard.sweep.study import (
    BEAT,
    TRIAL,
    alive,
    open_storage,
    study_name,
)

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
BEST = "optimization_results.yaml"

log = logging.getLogger(__name__)


class Drawn(NamedTuple):
    """A trial and the overrides of its job."""

    trial: optuna.Trial
    overrides: tuple[str, ...]


class Search(OptunaSweeperImpl):
    """Draw the jobs of a search, start them, and record their results in the study.

    A trial has finished when its job has, or is pruned. The search ends when ``n_trials`` of the
    study have finished, whichever process drew them. A job that failed, or that a dead process
    left, is drawn again when the search starts again.
    """

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Prepare the launcher."""
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self._hydra: HydraConf = config.hydra

    def sweep(self, arguments: list[str]) -> None:
        """Run jobs until the study is complete.

        Args:
            arguments: The overrides of the command line; swept ones are searched.

        Raises:
            SystemExit: The storage cannot be used, it has another search of that name, or more
                jobs failed than ``max_failure_rate`` accepts.
        """
        words = [*self._parse_sweeper_params_config(), *arguments]
        space, self._fixed = create_params_from_overrides(words)
        self._space = {key: values for key, values in space.items() if key not in self._fixed}
        self._storage = open_storage(self._hydra)
        study = self._study()
        drawn = 0
        optuna.storages.fail_stale_trials(study)  # the storage puts them in the queue again
        _draw_failed_again(study)
        while True:
            optuna.storages.fail_stale_trials(study)
            missing = self.n_trials - _count(study, FINISHED)
            running = _count(study, (TrialState.RUNNING,))
            left = min(missing, self.n_trials - drawn)
            if left <= 0 and not running:
                break
            free = min(self.n_jobs, left, missing - running)
            if free > 0:
                self._run(study, self._draw(study, free, first=drawn == 0))
                drawn += free
            else:
                log.info("Waiting for %d jobs of other processes.", running)
                time.sleep(BEAT)
        self._write_best(study)

    def _study(self) -> optuna.Study:
        name, direction = study_name(self._hydra), self._get_directions()
        study = optuna.create_study(
            storage=self._storage,
            sampler=self.sampler,
            study_name=name,
            directions=direction,
            load_if_exists=True,
        )
        log.info("The study %s has %d finished trials.", name, _count(study, FINISHED))
        return study

    def _draw(self, study: optuna.Study, count: int, first: bool) -> list[Drawn]:
        """Draw trials, without those that another process drew in the meantime."""
        trials = [study.ask() for _ in range(count)]
        for trial in trials:
            self._storage.record_heartbeat(trial._trial_id)
        if first and trials[0].number > 0:
            # Processes with one seed would draw the same jobs.
            study.sampler.reseed_rng()
        try:
            overrides = self._configure_trials(trials, self._space, self._fixed)
        except ValueError as error:
            raise SystemExit(
                f"The study {study.study_name} searched other values before ({error}): choose "
                "another hydra.sweep.dir or hydra.sweeper.study_name, or the values of before."
            ) from None
        others = study.get_trials(deepcopy=False, states=(*FINISHED, TrialState.RUNNING))
        drawn = []
        for trial, words in zip(trials, overrides, strict=True):
            earlier = [other for other in others if other.number < trial.number]
            if len(earlier) >= self.n_trials or _has_twin(trial, earlier):
                study.tell(trial, state=TrialState.FAIL)
            else:
                named = f"+hydra.job.env_set.{TRIAL}='{trial._trial_id}'"
                drawn.append(Drawn(trial, (*words, named)))
        return drawn

    def _run(self, study: optuna.Study, drawn: Sequence[Drawn]) -> None:
        if not drawn:
            return
        assert self.launcher is not None  # since setup
        with alive(self._storage, [each.trial for each in drawn]):
            returned = self.launcher.launch(
                [each.overrides for each in drawn], initial_job_idx=self.job_idx
            )
        self.job_idx += len(drawn)
        values = [_result(each) for each in returned]
        for (trial, _), value in zip(drawn, values, strict=True):
            state = _state(value)
            completed = state is TrialState.COMPLETE
            study.tell(trial, value if completed else None, state=state)
        if values.count(None) > self.max_failure_rate * len(values):
            raise SystemExit(
                f"{values.count(None)} of {len(values)} jobs failed, more than "
                f"hydra.sweeper.max_failure_rate={self.max_failure_rate} accepts."
            )

    def _write_best(self, study: optuna.Study) -> None:
        if not _count(study, (TrialState.COMPLETE,)):
            return
        best = study.best_trial
        log.info("Best: %g, by %s", best.value, best.params)
        found = {"name": "optuna", "best_params": best.params, "best_value": best.value}
        OmegaConf.save(OmegaConf.create(found), Path(self._hydra.sweep.dir) / BEST)


def _result(returned: JobReturn) -> Any:
    """Return what a job returned; None if it failed."""
    try:
        value = returned.return_value
    except Exception as error:
        log.warning("A job failed: %s", error)
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def _state(value: Any) -> TrialState:
    if value is None:
        return TrialState.FAIL
    return TrialState.PRUNED if value == PRUNED else TrialState.COMPLETE


def _count(study: optuna.Study, states: Sequence[TrialState]) -> int:
    return len(study.get_trials(deepcopy=False, states=tuple(states)))


def _has_twin(trial: optuna.Trial, earlier: Sequence[FrozenTrial]) -> bool:
    """Find out whether a trial with the same values runs: both would use one folder."""
    running = [other for other in earlier if other.state is TrialState.RUNNING]
    return any(other.params == trial.params for other in running)


def _draw_failed_again(study: optuna.Study) -> None:
    """Put failed trials in the queue, unless another trial has their values."""
    trials = study.get_trials(deepcopy=False)
    others = [trial.params for trial in trials if trial.state is not TrialState.FAIL]
    for trial in trials:
        if trial.params and trial.params not in others:
            study.enqueue_trial(trial.params)
            others.append(trial.params)
