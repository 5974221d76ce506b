"""Names of the metrics that a training and its test log, for settings that refer to one."""

from collections.abc import Iterable, Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from memguard.config.checks import reads
from memguard.config.sentences import unknown
from memguard.config.trust import PARTS, TARGET
from memguard.errors import ConfigError

IN_TRAINING = (
    *("loss", "psnr", "epoch", "step", "train/lr", "train/loss", "train/pixel", "train/psnr"),
    *("train/compactness", "train/separateness", "memory/used", "memory/perplexity"),
    *("memory/items", "memory/dead", "memory/entropy", "memory/drift_mean", "memory/drift_max"),
    *("memory/cosine_mean", "memory/cosine_max", "val/psnr", "val/pseudo_auroc"),
    *(f"val/pseudo_auroc_{kind}" for kind in ("pasted", "backwards", "frozen", "fast")),
)
OF_A_TEST = (
    *("auroc", "auroc_macro", "auroc_macro_padded", "ap", "eer"),
    *("frames", "frames_written", "frames_anomalous"),
)
OF_PLACES = ("test/auroc_pixel", "test/hit_rate", "test/rbdc", "test/tbdc")
IN_METRICS_JSON = (
    *(name for name in IN_TRAINING if "/" in name),
    *(f"{when}/{name}" for when in ("test", "not_for_selection") for name in OF_A_TEST),
    *OF_PLACES,
    *("guard/threshold", "data/skipped_train", "data/skipped_test"),
)

# Of the test after each epoch, by its labels.
BY_LABELS = "not_for_selection/"

# Each other score has its AUROC, whatever its name.
OF_A_SCORE = ("test/auroc_", "not_for_selection/auroc_")

# Classes from elsewhere may log under names of their own.
KNOWN_CLASSES = ("memguard.", "pytorch_lightning.", "lightning.", "optuna.")


# The groups whose classes log metrics.
LOGGING = ("callbacks", "data", *PARTS)


@reads("optimized_metric", "loss", *LOGGING)
def known_objective(metric: Any, loss: Any, *groups: Any) -> Iterator[str]:
    """Refuse to optimise a metric that no run has."""
    name, names = str(metric), (*IN_METRICS_JSON, *_of_terms(loss))
    known = name in names or name.startswith(OF_A_SCORE)
    if not known and not _may_log_others(groups):
        yield unknown("optimized_metric=", name, names)


def monitors(callbacks: Any) -> Iterator[tuple[str, str]]:
    """Yield the metrics that callbacks wait for, each with its key."""
    for name in callbacks or ():
        metric = OmegaConf.select(callbacks, f"{name}.monitor")
        if isinstance(metric, str) and metric.strip():  # others are refused by themselves
            yield f"callbacks.{name}.monitor", metric


@reads("callbacks")
def monitors_without_labels(callbacks: Any) -> Iterator[str]:
    """Refuse to choose an epoch by the test's labels."""
    for key, metric in monitors(callbacks):
        if metric.startswith(BY_LABELS):
            yield (
                f"{key}={metric} cannot work: an epoch that is chosen by the test's labels makes "
                "the test mean nothing; set it to val/pseudo_auroc or val/psnr, which need none."
            )


@reads("callbacks", "data.holdout", "trainer.limit_val_batches")
def monitors_validated(callbacks: Any, holdout: float, limit: float | None) -> Iterator[str]:
    """Refuse callbacks that wait for a validation where there is none."""
    for key, metric in monitors(callbacks):
        if metric.startswith("val/") and (holdout == 0 or limit == 0):
            cause = "data.holdout" if holdout == 0 else "trainer.limit_val_batches"
            yield (
                f"{key}={metric} needs held-out normal frames, but {cause}=0: set data.holdout to "
                "0.05, leave trainer.limit_val_batches out, or leave the callback out."
            )


@reads("loss", *LOGGING)
def known_monitors(loss: Any, callbacks: Any, *groups: Any) -> Iterator[str]:
    """Refuse callbacks that wait for a metric that no training logs."""
    if _may_log_others((callbacks, *groups)):
        return
    logged = (*IN_TRAINING, *_of_terms(loss))
    for key, metric in monitors(callbacks):
        if metric not in logged and not metric.startswith(BY_LABELS):
            yield unknown(f"{key}=", metric, logged)


def require_known_objective(config: DictConfig) -> None:
    """Refuse to optimise a metric that no run has.

    Raises:
        ConfigError: The message names the nearest metric.
    """
    for problem in known_objective.problems(config):
        raise ConfigError(problem.sentence)


def _of_terms(loss: Any) -> Iterator[str]:
    """Name the metrics of the loss's terms; an evaluation has none."""
    return (f"train/{name}" for name in loss or () if isinstance(loss[name], DictConfig))


def _may_log_others(groups: Iterable[Any]) -> bool:
    return not all(name.startswith(KNOWN_CLASSES) for group in groups for name in _classes(group))


def _classes(node: Any) -> Iterator[str]:
    if isinstance(node, DictConfig):
        if isinstance(name := node.get(TARGET), str):
            yield name
        for key in node:
            if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(
                node, str(key)
            ):
                yield from _classes(node[key])
    elif isinstance(node, ListConfig):
        for index in range(len(node)):
            yield from _classes(node[index])
