"""The jobs of a sweep: each trains or tests once, independent of the others."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig

from memguard.config.metric_names import require_known_objective
from memguard.config.naming import WITHOUT_EFFECT
from memguard.errors import UserError

METRICS, PROVENANCE, FAILURE = "metrics.json", "provenance.json", "failure.txt"
PRUNING = "pruned.txt"
OVERRIDES = Path(".hydra") / "overrides.yaml"

FINISHED = "finished"
# The status and the result of a job that a search ended early.
PRUNED = "pruned"

log = logging.getLogger(__name__)

Work = Callable[[DictConfig], dict[str, float]]


class Pruned(Exception):  # noqa: N818 - an end, and no error
    """A search ends the job early, for the reason in the message."""


@dataclass(frozen=True)
class Job:
    """The folder of a job.

    Attributes:
        folder: The path.
        settings: The settings of its command line and of the sweep, by key.
        metrics: The metrics of a finished job.
        minutes: The duration of the job.
        failure: The error of a failed job, or the reason to prune it, one sentence.
        pruned: Whether a search ended the job early.
    """

    folder: Path
    settings: dict[str, Any]
    metrics: dict[str, float] | None
    minutes: float | None
    failure: str | None
    pruned: bool = False

    @property
    def status(self) -> str:
        """``finished``, ``pruned``, ``failed``, or ``unfinished``: killed or still running."""
        if self.metrics is not None:
            return FINISHED
        if self.pruned:
            return PRUNED
        return "unfinished" if self.failure is None else "failed"


def run_job(config: DictConfig, work: Work) -> float | str | None:
    """Run a composed command: a run by itself, or a job of a sweep.

    A finished or pruned job does not run again. A failing one writes its error to
    ``failure.txt``, and the sweep continues.

    Args:
        config: A configuration that ``conf/train.yaml`` or ``conf/evaluate.yaml`` composes.
        work: The training or test; it writes ``metrics.json`` last, and returns its content.

    Returns:
        The metric that ``optimized_metric`` names, for Hydra's sweepers; ``pruned`` if a search
        ended the job early; None if the job failed or has no such metric.

    Raises:
        UserError: As ``work`` does, if the run is no job of a sweep; or no run has the metric to
            optimise.
        SystemExit: An optimiser needs a metric that the job does not have.
    """
    hydra = HydraConfig.get()
    if hydra.mode is not RunMode.MULTIRUN:
        return work(config).get(config.optimized_metric)
    require_known_objective(config)  # else each job would fail by it
    folder = Path(hydra.runtime.output_dir)
    if (folder / PRUNING).exists():
        log.info("Pruned already: %s", folder)
        return PRUNED
    metrics = _json(folder / METRICS)
    if metrics is None:
        try:
            metrics = _attempt(config, work, folder)
        except Pruned as reason:
            log.info("Pruned: %s", reason)
            (folder / PRUNING).write_text(f"{reason}\n", encoding="utf-8")
            return PRUNED
    else:
        log.info("Finished already: %s", folder)
    if metrics is None:
        return None
    if hydra.runtime.choices["hydra/sweeper"] != "basic":
        _require_objective(config.optimized_metric, metrics)
    return metrics.get(config.optimized_metric)


def _attempt(config: DictConfig, work: Work, folder: Path) -> dict[str, float] | None:
    """Do the work, or write its error; a raised error would end the whole sweep."""
    failure = folder / FAILURE
    failure.unlink(missing_ok=True)
    try:
        return work(config)
    except Pruned:
        raise
    except UserError as error:
        sentence = str(error)
        log.error("This job failed; %s has the reason.", failure)
    except Exception as error:
        sentence = f"{type(error).__name__}: {error}"
        log.exception("This job failed.")
    try:
        failure.write_text(sentence + "\n", encoding="utf-8")
    except OSError:  # on a full disk the log alone has the error, and the job is unfinished
        log.error(sentence)
    return None


def _require_objective(name: str, metrics: dict[str, float]) -> None:
    """End a search without an objective: each of its jobs would train in vain."""
    if name not in metrics:
        raise SystemExit(
            f"optimized_metric={name} is not among the metrics of this run, so the search has no "
            f"objective: set it to one of {', '.join(sorted(metrics))}."
        )


def read_jobs(sweep: Path) -> list[Job]:
    """Read the jobs in a sweep's folder, ordered by the varied settings."""
    jobs = [_read_job(path.parents[1]) for path in sweep.glob(f"*/{OVERRIDES}")]
    keys = varied(jobs)
    return sorted(jobs, key=lambda job: [_order(job.settings.get(key)) for key in keys])


def _order(value: Any) -> tuple[bool, Any]:
    """Order numbers by size, then everything else by its text."""
    number = isinstance(value, (int, float))
    return not number, value if number else str(value)


def _read_job(folder: Path) -> Job:
    pruned = (folder / PRUNING).exists()
    reason = folder / (PRUNING if pruned else FAILURE)
    return Job(
        folder,
        settings=_settings(yaml.safe_load((folder / OVERRIDES).read_text(encoding="utf-8"))),
        metrics=_json(folder / METRICS),
        minutes=(_json(folder / PROVENANCE) or {}).get("minutes"),
        failure=reason.read_text(encoding="utf-8").strip() if reason.exists() else None,
        pruned=pruned,
    )


def _settings(overrides: Sequence[str]) -> dict[str, Any]:
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    return {override.key_or_group: _plain(override.value()) for override in parsed}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (int, float, str)) else str(value)


def _json(path: Path) -> dict[str, Any] | None:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def constant_keys(overrides: Sequence[str]) -> list[str]:
    """List the keys that a sweep's command sets to one value.

    Example:
        >>> constant_keys(["dataset=ped2", "memory.size=7", "memory.size=5,10", "seed=range(3)"])
        ['dataset']
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    swept = {override.key_or_group for override in parsed if override.is_sweep_override()}
    return [o.key_or_group for o in parsed if o.key_or_group not in swept]


def varied(jobs: Sequence[Job]) -> list[str]:
    """List the keys whose values differ between jobs, in the order of the commands."""
    keys = dict.fromkeys(key for job in jobs for key in job.settings if key not in WITHOUT_EFFECT)
    return [key for key in keys if len({job.settings.get(key) for job in jobs}) > 1]
