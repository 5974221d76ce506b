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
    *("memory/dead", "memory/entropy", "memory/drift_mean", "memory/drift_max"),
    *("memory/cosine_mean", "memory/cosine_max", "val/psnr", "val/pseudo_auroc"),
    *(f"val/pseudo_auroc_{kind}" for kind in ("pasted", "backwards", "frozen", "fast")),
)
OF_A_TEST = ("auroc", "auroc_macro", "ap", "eer", "frames", "frames_written", "frames_anomalous")
IN_METRICS_JSON = (
    *(name for name in IN_TRAINING if "/" in name),
    *(f"{when}/{name}" for when in ("test", "not_for_selection") for name in OF_A_TEST),
    *("guard/threshold", "data/skipped_train", "data/skipped_test"),
)

# Each other score has its AUROC, whatever its name.
OF_A_SCORE = ("test/auroc_", "not_for_selection/auroc_")

# Classes from elsewhere may log under names of their own.
KNOWN_CLASSES = ("memguard.", "pytorch_lightning.", "lightning.")


# The groups whose classes log metrics.
LOGGING = ("callbacks", "data", *PARTS)


@reads("optimized_metric", "loss", *LOGGING)
def known_objective(metric: Any, loss: Any, *groups: Any) -> Iterator[str]:
    """Refuse to optimise a metric that no run has."""
    name, names = str(metric), (*IN_METRICS_JSON, *_of_terms(loss))
    known = name in names or name.startswith(OF_A_SCORE)
    if not known and not _may_log_others(groups):
        yield unknown("optimized_metric=", name, names)


@reads("loss", *LOGGING)
def known_monitors(loss: Any, callbacks: Any, *groups: Any) -> Iterator[str]:
    """Refuse callbacks that wait for a metric that no training logs."""
    if _may_log_others((callbacks, *groups)):
        return
    of_tests = (name for name in IN_METRICS_JSON if name.startswith("not_for"))
    logged = (*IN_TRAINING, *_of_terms(loss), *of_tests)
    for key in callbacks or ():
        name = OmegaConf.select(callbacks, f"{key}.monitor")
        if name is not None and name not in logged and not str(name).startswith(OF_A_SCORE[1]):
            yield unknown(f"callbacks.{key}.monitor=", str(name), logged)


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
