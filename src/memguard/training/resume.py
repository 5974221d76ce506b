"""Compare the settings of a checkpoint with those of the command that resumes it.

The optimiser and its schedule are the checkpoint's, whatever the command says. Settings that decide
on the result are therefore compared, and any difference is refused. All settings decide, apart from
those that are named here.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl

from memguard.config.sentences import shown
from memguard.config.trust import TARGET

# Each key stands for all that is below it, too.
DECIDES_NOTHING = (
    # Places, loggers and callbacks, and the use of the trained detector
    *("paths", "logger", "callbacks", "hydra", "checkpoint", "weights", "trust"),
    *("optimized_metric", "train", "test", "tags", "options", "print_config"),
    # The test's alone; γ and the alarm's level are found again in each validation
    *("guard", "scoring", "dataset.labels"),
    # How files are read
    *("dataset.root", "dataset.root_in_data_dir", "dataset.on_error", "dataset.cache"),
    *("data.cache_dir", "data.on_error", "data.cache", "data.threads"),
    # How the same is computed, and where; the number of processes is compared by itself
    *("compile", "optimizer.fused", "optimizer.foreach", "trainer.accelerator"),
    *("trainer.devices", "trainer.num_nodes", "trainer.strategy", "trainer.benchmark"),
    *("trainer.deterministic", "trainer.inference_mode"),
    # Output, and the length of one part of the training
    *("trainer.log_every_n_steps", "trainer.enable_progress_bar", "trainer.enable_model_summary"),
    *("trainer.enable_checkpointing", "trainer.enable_autolog_hparams", "trainer.profiler"),
    *("trainer.detect_anomaly", "trainer.num_sanity_val_steps", "trainer.max_time"),
    *("trainer.limit_test_batches", "trainer.limit_predict_batches"),
)

# Settings that decide on the shape of the weights and on their task.
SHAPE_KEYS = (
    *("task.name", "model.width", "data.channels"),
    *("memory._target_", "memory.size", "memory.max_size", "memory.dim"),
    *("memory.scales", "memory.sizes"),
)

# Those that decide on the shape of a denoiser's weights.
DENOISER_SHAPE_KEYS = ("denoise._target_", "denoise.width", "data.channels")

# Settings that a test shares with the training whose weights it loads.
TEST_KEYS = ("task", "model", "memory", "denoise", "data.frame_size", "data.channels")

ABSENT = "not set"

Difference = tuple[str, Any, Any]
"""A key, its value in training, and its value now."""


def decides(key: str) -> bool:
    """Return whether a setting decides on the result of a training."""
    return not _lies_in(key, DECIDES_NOTHING)


def decides_test(key: str) -> bool:
    """Return whether a setting decides on what the weights of a training are in a test."""
    return _lies_in(key, TEST_KEYS)


def _lies_in(key: str, groups: Iterable[str]) -> bool:
    return any(key == group or key.startswith(f"{group}.") for group in groups)


def differences(trained: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    """Compare the settings that decide on a training's result.

    Args:
        trained: Of the checkpoint, in plain types. A setting that it lacks was not there when it
            was made and is not compared, and neither is one whose value is an expression; but an
            option of the trainer has Lightning's default where it is left out.
        now: Of this command, in plain types.

    Returns:
        All that differ, by key.

    Example:
        >>> trained = {"optimizer": {"lr": 1e-3}, "data": {"threads": 2, "seed": "${seed}"}}
        >>> differences(trained, {"optimizer": {"lr": 5e-4}, "data": {"threads": 8, "seed": 1}})
        [('optimizer.lr', 0.001, 0.0005)]
    """
    before, after = dict(_leaves(trained)), dict(_leaves(now))
    if "trainer" in trained:
        defaults = _trainer_defaults()
        for values in (before, after):
            given = {key: value for key, value in values.items() if value is not None}
            values |= defaults | {key: given[key] for key in given if key.startswith("trainer.")}
    if "data" in trained:  # earlier versions took all windows
        before.setdefault("data.windows_per_epoch", None)
    if "loss" in trained:  # a term that was not there was not part of the loss
        terms = {key for key in after if key.startswith("loss.") and key.endswith(f".{TARGET}")}
        before |= dict.fromkeys(terms - before.keys(), ABSENT)
    return [
        (key, value, _of(after, key, value))
        for key, value in sorted(before.items())
        if decides(key) and not _is_unknown(value) and value != _of(after, key, value)
    ]


def refusal(path: object, found: list[Difference]) -> str:
    """Explain why a training cannot resume, and name the remedy.

    Args:
        path: Of the checkpoint.
        found: From :func:`differences`.
    """
    length = any(key in ("trainer.max_epochs", "trainer.max_steps") for key, _, _ in found)
    why = " Its learning rate comes down to 0 over the length it began with." if length else ""
    said = f"{_listed(path, found)}{why} Repeat the settings it was trained with, or leave "
    if any(key in SHAPE_KEYS for key, _, _ in found):
        return f"{said}checkpoint out: its weights fit no other."
    return (
        f"{said}checkpoint out: weights={path} in its place begins a new training from its weights,"
        " with a schedule of its own."
    )


def refusal_to_test(path: object, found: list[Difference]) -> str:
    """Explain why a checkpoint cannot be tested under a training's configuration.

    Args:
        path: Of the checkpoint.
        found: From :func:`differences`.
    """
    return (
        f"{_listed(path, found)} Repeat the settings it was trained with, or test it with "
        "memguard.evaluate, which takes them from the checkpoint."
    )


def _listed(path: object, found: list[Difference]) -> str:
    keys = "; ".join(f"{key}={shown(before)}, now {shown(now)}" for key, before, now in found)
    return f"{path} was trained with {keys}."


def is_finished(checkpoint: Mapping[str, Any], max_epochs: int | None, max_steps: int) -> bool:
    """Return whether the training of a checkpoint has taken all its steps.

    Args:
        checkpoint: As Lightning saves it.
        max_epochs: Of the trainer; −1 for no limit.
        max_steps: Of the trainer; −1 for no limit.
    """
    # An epoch that is saved at its end is processed, and not yet completed.
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    in_epochs = max_epochs not in (None, -1) and epochs >= max_epochs
    return in_epochs or 0 <= max_steps <= checkpoint["global_step"]


def _leaves(tree: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{group}{name}.")
        else:
            yield f"{group}{name}", list(value) if isinstance(value, tuple) else value


def _of(after: Mapping[str, Any], key: str, before: Any) -> Any:
    return after.get(key, ABSENT if before is not None else None)


def _trainer_defaults() -> dict[str, Any]:
    parameters = inspect.signature(pl.Trainer.__init__).parameters.values()
    return {f"trainer.{p.name}": p.default for p in parameters if p.name != "self"}


def _is_unknown(value: Any) -> bool:
    return isinstance(value, str) and ("${" in value or value == "???")
