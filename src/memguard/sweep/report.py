"""The report of a sweep: a table of its jobs, and figures of the varied settings."""

import csv
import logging
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar

import numpy as np
from hydra.experimental.callback import Callback
from matplotlib.figure import Figure
from omegaconf import DictConfig, read_write
from rich.console import Console
from rich.table import Table

from memguard.files import written_whole
from memguard.sweep.jobs import FINISHED, PRUNED, Job, constant_keys, read_jobs, varied
from memguard.sweep.plots import heat_maps, metric_curves, metric_ranking

SEED = "seed"
LONGEST_RANKING = 30

log = logging.getLogger(__name__)

Setting = tuple[Any, ...]
Results = Mapping[Setting, Sequence[Mapping[str, float]]]


class SweepReport(Callback):
    """Report the jobs of a sweep once all have ended, or once it is interrupted.

    This callback of Hydra's writes ``sweep.csv`` and ``figures/*.png`` into the sweep's folder, and
    prints the ranking.

    Attributes:
        running: The configuration of the sweep that this process runs; None without a sweep.
    """

    running: ClassVar[DictConfig | None] = None

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Name the jobs by the varied settings alone, and log how to resume the sweep."""
        folder = config.hydra.sweep.dir
        constant = ",".join(f"'{key}'" for key in constant_keys(config.hydra.overrides.task))
        with read_write(config):
            # Hydra composes every job with these.
            config.hydra.overrides.hydra.append(
                f"hydra.job.config.override_dirname.exclude_keys=[{constant}]"
            )
        log.info("If interrupted, add hydra.sweep.dir=%s to resume with the missing jobs.", folder)
        SweepReport.running = config
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _stop)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the table and the figures.

        Raises:
            SystemExit: A job has not finished; the exit status of the command is 1.
        """
        SweepReport.running = None
        folder = Path(config.hydra.sweep.dir)
        jobs = read_jobs(folder)
        write_report(folder, jobs, config.optimized_metric)
        missing = sum(job.status not in (FINISHED, PRUNED) for job in jobs)
        if missing:
            raise SystemExit(
                f"{missing} of {len(jobs)} jobs did not finish: the same command with "
                f"hydra.sweep.dir={folder} runs them again, and only them."
            )


def _stop(number: int, frame: FrameType | None) -> None:
    """End the command on a signal, with the exit status that shells give to it."""
    raise SystemExit(128 + number)


def reported_if_interrupted(command: Callable[[], Any]) -> Callable[[], Any]:
    """Wrap a command so that an interrupted sweep is reported as well.

    Args:
        command: A command that Hydra may run as a sweep. Ctrl-C ends it without a traceback.
    """

    @wraps(command)
    def run() -> Any:
        try:
            return command()
        except KeyboardInterrupt:
            raise SystemExit(128 + signal.SIGINT) from None
        finally:
            running, SweepReport.running = SweepReport.running, None
            if running is not None:
                _report_finished_jobs(running)

    return run


def _report_finished_jobs(config: DictConfig) -> None:
    folder = Path(config.hydra.sweep.dir)
    jobs = read_jobs(folder)
    if not jobs:
        return
    write_report(folder, jobs, config.optimized_metric)
    finished = sum(job.status in (FINISHED, PRUNED) for job in jobs)
    log.warning(
        "The sweep was interrupted with %d of its jobs finished: the same command with "
        "hydra.sweep.dir=%s resumes with the others.", finished, folder,
    )  # fmt: skip


def write_report(folder: Path, jobs: Sequence[Job], optimized_metric: str) -> None:
    """Write a sweep's table and figures, or warn that they cannot be; print the ranking."""
    names = shown_metrics(jobs, optimized_metric)
    try:
        write_table(folder / "sweep.csv", jobs)
        for name, figure in sweep_figures(jobs, names).items():
            with written_whole(folder / "figures" / f"{name}.png") as unfinished:
                figure.savefig(unfinished)
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): make room on its disk or correct its folder's permissions; "
            "the same command with hydra.sweep.dir=%s writes table and figures, and runs no "
            "finished job again.", error.filename or folder, error.strerror, folder,
        )  # fmt: skip
    print_ranking(jobs, names, folder)


def shown_metrics(jobs: Sequence[Job], optimized: str) -> list[str]:
    """List the metrics to rank by and to draw: the optimised one and the AUROC, where known."""
    known = {name for job in jobs for name in job.metrics or {}}
    return [name for name in dict.fromkeys((optimized, "test/auroc")) if name in known]


def write_table(path: Path, jobs: Sequence[Job]) -> None:
    """Write a CSV file with a row per job: its varied settings, its status and its metrics."""
    keys = varied(jobs)
    names = sorted({name for job in jobs for name in job.metrics or {}})
    with (
        written_whole(path) as unfinished,
        unfinished.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(["job", *keys, "status", *names, "minutes", "failure"])
        for job in jobs:
            settings = [job.settings.get(key, "") for key in keys]
            metrics = [(job.metrics or {}).get(name, "") for name in names]
            ends = job.minutes, job.failure
            writer.writerow([job.folder.name, *settings, job.status, *metrics, *ends])


def sweep_figures(jobs: Sequence[Job], names: Sequence[str]) -> dict[str, Figure]:
    """Draw the ranking, and a curve over one numeric axis or a heat map over two.

    Args:
        jobs: The jobs of the sweep. Those that differ in seed alone are one setting's spread.
        names: The metrics, the one to rank by first.
    """
    axes, results = by_setting(jobs)
    if not (axes and names and results):
        return {}
    figures = {"ranking": metric_ranking(_named(axes, _ranked(results, names[0])), names)}
    numeric = all(_is_number(value) for setting in results for value in setting)
    if numeric and len(axes) == 1:
        figures["curve"] = metric_curves(
            axes[0], {x: runs for (x,), runs in results.items()}, names
        )
    elif numeric and len(axes) == 2:
        figures["heat_map"] = heat_maps(
            (axes[0], axes[1]), {(x, y): runs for (x, y), runs in results.items()}, names
        )
    return figures


def by_setting(jobs: Sequence[Job]) -> tuple[list[str], Results]:
    """Group the finished jobs that differ in seed alone.

    Returns:
        The keys that vary beside the seed (the seed itself, where it alone varies), and for each
        setting of them the metrics of its jobs.
    """
    keys = varied(jobs)
    axes = [key for key in keys if key != SEED] or keys
    results: dict[Setting, list[Mapping[str, float]]] = {}
    for job in jobs:
        if job.metrics is not None:
            setting = tuple(job.settings.get(key) for key in axes)
            results.setdefault(setting, []).append(job.metrics)
    return axes, results


def print_ranking(jobs: Sequence[Job], names: Sequence[str], folder: Path) -> None:
    """Print the settings, best first, each metric with its spread; then the unfinished jobs."""
    axes, results = by_setting(jobs)
    table = Table(title=f"Sweep of {', '.join(axes) or 'one job'}", title_justify="left")
    for key in (*axes, "jobs"):
        table.add_column(key, justify="right")
    for name in names:
        table.add_column(name)
    for setting, runs in _ranked(results, names[0]).items() if names else results.items():
        spreads = [_spread([run[name] for run in runs if name in run]) for name in names]
        table.add_row(*map(_shown, setting), str(len(runs)), *spreads)
    console = Console(markup=False)
    if results:
        console.print(table)
    for job in jobs:
        if job.metrics is None:
            reason = f": {job.failure}" if job.failure else ""
            console.print(f"{job.folder.name} {job.status}{reason}", highlight=False)
    for path in (*folder.glob("sweep.csv"), *sorted((folder / "figures").glob("*.png"))):
        console.print(str(path), soft_wrap=True, highlight=False)


def _ranked(results: Results, name: str) -> Results:
    """Order the settings by their mean of a metric, highest first; those without it last."""

    def mean(setting: Setting) -> float:
        values = [run[name] for run in results[setting] if name in run]
        return float(np.mean(values)) if values else -np.inf

    return {setting: results[setting] for setting in sorted(results, key=mean, reverse=True)}


def _named(axes: Sequence[str], results: Results) -> dict[str, Sequence[Mapping[str, float]]]:
    """Label the first settings; of three or more keys only the last part fits."""
    first = list(results.items())[:LONGEST_RANKING]
    keys = [key if len(axes) < 3 else key.split(".")[-1] for key in axes]
    return {
        ", ".join(f"{key}={_shown(value)}" for key, value in zip(keys, setting, strict=True)): runs
        for setting, runs in first
    }


def _spread(values: Sequence[float]) -> str:
    """Format the mean, and the lowest and the highest value.

    >>> _spread([0.91, 0.93])
    '0.920 (0.910 to 0.930)'
    """
    if not values:
        return "–"
    among = f" ({min(values):.3f} to {max(values):.3f})" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{among}"


def _shown(value: Any) -> str:
    if value is None:
        return "default"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
