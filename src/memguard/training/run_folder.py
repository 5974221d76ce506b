"""The run folder: where a run writes, and every file that it leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from pytorch_lightning.loggers import Logger

from memguard.data.datasets.benchmark import Benchmark
from memguard.errors import ConfigError, DataError
from memguard.report.dashboard.figure_sink import keep_files
from memguard.report.page import write_report
from memguard.report.results import print_summary, write_json
from memguard.report.scores import write_regions, write_scores
from memguard.report.tested import FinishedTest
from memguard.scoring.protocols import one_class_videos
from memguard.training.checkpoints import plain_config

# Files for loggers that keep them, by kind.
KEPT = {"checkpoint": "checkpoints/last.ckpt", "scores": "scores.csv", "report": "report.html"}


@dataclass(frozen=True)
class Run:
    """The context of a training or a test.

    Attributes:
        folder: Where it writes.
        in_sweep: Whether it is a job of a sweep.
    """

    folder: Path
    in_sweep: bool = False


def begin_run(config: DictConfig, folder: Path | str, *, in_sweep: bool) -> Run:
    """Name the run folder in the configuration (``paths.run_dir``); nothing is made yet.

    Args:
        config: Of the run.
        folder: Where it writes.
        in_sweep: Whether it is a job of a sweep.

    Raises:
        ConfigError: The folder holds the results of another run.
    """
    run = Run(Path(folder), in_sweep)
    resumes = (
        config.checkpoint
        and config.get("train", True)
        and Path(config.checkpoint).resolve().is_relative_to(run.folder.resolve())
    )
    if (run.folder / "metrics.json").exists() and not resumes:
        raise ConfigError(
            f"{folder} holds the results of another run already: name a new folder, or remove it."
        )
    config.paths.run_dir = str(run.folder)
    return run


@dataclass(frozen=True)
class Results:
    """The results of a run.

    Attributes:
        benchmark: The dataset.
        config: Of the run.
        provenance: Command, commit, machine and duration.
        metrics: By name, as ``metrics.json`` holds them.
        tested: Scores of the test; None where nothing was tested.
    """

    benchmark: Benchmark
    config: DictConfig
    provenance: dict[str, Any]
    metrics: dict[str, float]
    tested: FinishedTest | None

    @property
    def title(self) -> str:
        """Name the run for its report and summary."""
        return f"{'Test' if self.tested else 'Training'} on {self.benchmark.title}"

    @property
    def one_class(self) -> list[str]:
        """Name the tested videos whose frames are all normal or all anomalous."""
        if self.tested is None:
            return []
        return [self.tested.names[number] for number in one_class_videos(self.tested.frames)]


def write_run_folder(folder: Path, results: Results, loggers: Sequence[Logger]) -> None:
    """Write the files of a finished run, hand some to its loggers, and print a summary.

    Args:
        folder: The run folder.
        results: Of the run.
        loggers: Those that keep files get the checkpoint, the scores and the report.

    Raises:
        DataError: A file cannot be written; the summary is printed nevertheless.
    """
    try:
        _write(folder, results)
        kept = {kind: folder / name for kind, name in KEPT.items()}
        keep_files(loggers, {kind: path for kind, path in kept.items() if path.exists()})
        # The last file: a folder that has it holds a finished run.
        write_json(folder / "metrics.json", results.metrics)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder} cannot be written ({error.strerror}), and this run's "
            "results are not complete: make room on its disk, and test the newest checkpoint with "
            "memguard.evaluate."
        ) from error
    finally:
        print_summary(results.title, results.metrics, results.one_class, folder)


def _write(folder: Path, results: Results) -> None:
    """Write everything but ``metrics.json``."""
    benchmark, tested = results.benchmark, results.tested
    tags = list(results.config.get("tags", []))
    made = {"dataset": benchmark.name, "label_set": benchmark.label_set, "tags": tags}
    made |= results.provenance
    write_json(folder / "provenance.json", made)
    composed = OmegaConf.to_yaml(plain_config(results.config))
    (folder / "config.yaml").write_text(composed, encoding="utf-8")
    if tested:
        write_scores(folder / "scores.csv", tested.frames, tested.names)
        write_regions(folder / "regions.csv", tested.regions, tested.names)
    write_report(
        folder / "report.html",
        title=results.title,
        metrics=results.metrics,
        config=composed,
        provenance=made,
        tested=tested,
    )
