"""Store the settings of a training in its checkpoint, and read them again on any machine."""

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from memguard.data.video.frame_size import shortest
from memguard.training.moved import present_place
from memguard.training.untrusted import (
    NotPlainError,
    is_expression,
    plain_tree,
    resolve_references,
)

# The groups that build a detector again, and that compare two trainings.
GROUPS = (
    "task",
    "model",
    "memory",
    "loss",
    "denoise",
    "guard",
    "scoring",
    "data",
    "dataset",
    "optimizer",
    "scheduler",
    "trainer",
    "batch_norm",
    "compile",
    "seed",
)
# Those that are values by themselves, and no groups of settings.
SINGLE = ("batch_norm", "compile", "seed")
MISSING = "???"

# Marks a dataset's root that lies in paths.data_dir, wherever that is for whoever reads it.
IN_DATA_DIR = "root_in_data_dir"


def own_paths() -> dict[str, str]:
    """Give this machine's folders, as ``conf/evaluate.yaml`` has them by default."""
    return {
        "data_dir": os.environ.get("MEMGUARD_DATA", "data"),
        "cache_dir": os.environ.get("MEMGUARD_CACHE", "~/.cache/memguard"),
    }


def plain_settings(config: DictConfig) -> dict[str, Any]:
    """Select the settings that a checkpoint stores: resolved, in plain types.

    Folders of this machine are left out, apart from a dataset's root; that is relative where it
    lies in ``paths.data_dir``. Of the trainer's options, those that are objects are left out. The
    size of square frames is one number. The weights of a denoiser are stored, and not their file.
    """
    tree: dict[str, Any] = {
        group: _resolved(config, group) for group in GROUPS if not _is_absent(config, group)
    }
    data = tree.get("data", {})
    data.pop("cache_dir", None)
    if "frame_size" in data:
        data["frame_size"] = shortest(data["frame_size"])
    tree.get("denoise", {}).pop("weights", None)
    if "trainer" in tree:
        tree["trainer"] = {k: v for k, v in tree["trainer"].items() if not isinstance(v, dict)}
    root = tree.get("dataset", {}).get("root", MISSING)
    data_dir = OmegaConf.select(config, "paths.data_dir")
    if root not in (MISSING, None) and data_dir and Path(str(root)).is_relative_to(data_dir):
        del tree["dataset"]["root"]
        tree["dataset"][IN_DATA_DIR] = str(Path(str(root)).relative_to(data_dir))
    return tree


def _is_absent(config: DictConfig, group: str) -> bool:
    return group not in config and not OmegaConf.is_missing(config, group)


def _resolved(config: DictConfig, group: str) -> Any:
    value = config[group]
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def read_settings(
    stored: Any, paths: Mapping[str, str] | None = None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Read the settings that a checkpoint stores.

    Args:
        stored: From the file.
        paths: The folders of whoever reads it, as ``paths`` of a configuration; by default
            :func:`own_paths`.

    Returns:
        All groups of it, in plain types, in which a value that is no plain one is ``???``; and
        these values' texts, by key.

    Raises:
        NotPlainError: There are other things than plain values in it, or too many.
    """
    tree = plain_tree(stored)
    tree["paths"] = dict(paths or own_paths())
    resolved = resolve_references(tree)
    del resolved["paths"]
    data = resolved.get("data")
    if isinstance(data, dict):
        data.pop("cache_dir", None)
    unknown = {key: text for key, text in leaves(resolved) if is_expression(text)}
    known = _each_leaf(
        resolved, lambda leaf: MISSING if is_expression(leaf) else present_place(leaf)
    )
    _place_dataset(known, tree["paths"]["data_dir"])
    return known, unknown


def _place_dataset(tree: dict[str, Any], data_dir: str) -> None:
    dataset = tree.get("dataset")
    if isinstance(dataset, dict) and isinstance(inside := dataset.pop(IN_DATA_DIR, None), str):
        dataset["root"] = str(Path(data_dir) / inside)


def leaves(tree: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value of a tree that is no mapping or list, with its dotted key."""
    if isinstance(tree, (dict, list)):
        for name, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, tree


def _each_leaf(tree: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(tree, dict):
        return {name: _each_leaf(value, change) for name, value in tree.items()}
    if isinstance(tree, list):
        return [_each_leaf(value, change) for value in tree]
    return change(tree)


_ACCELERATORS = ("auto", "cpu", "gpu", "cuda", "mps", "tpu", "hpu")
_PRECISIONS = (
    *(16, 32, 64, "16", "32", "64", "bf16"),
    *("16-true", "16-mixed", "bf16-true", "bf16-mixed", "32-true", "64-true"),
)


def _whole(low: int, high: int) -> tuple[Callable[[Any], bool], str]:
    works = lambda value: type(value) is int and low <= value <= high  # noqa: E731
    return works, f"a whole number from {low} to {high}"


def _one_of(*values: Any) -> tuple[Callable[[Any], bool], str]:
    return lambda value: value in values, f"one of {', '.join(map(str, values))}"


# Settings that decide on devices or on the memory that reading takes; no other rule checks them.
LIMITS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "task.past": _whole(0, 1_000),
    "data.past": _whole(0, 1_000),
    "trainer.accelerator": _one_of(*_ACCELERATORS),
    "trainer.precision": _one_of(*_PRECISIONS),
}


def require_within_limits(settings: Mapping[str, Any]) -> None:
    """Refuse values that a reader's machine would have to bear.

    Args:
        settings: As :func:`read_settings` gives them; what is ``???`` is not known yet.

    Raises:
        NotPlainError: The message begins with the key.
    """
    for key, (works, wanted) in LIMITS.items():
        group, name = key.split(".")
        node = settings.get(group)
        value = node.get(name, MISSING) if isinstance(node, dict) else MISSING
        if value != MISSING and not works(value):
            raise NotPlainError(f"{key} is {str(value)[:40]!a}, expected {wanted}")


def require_groups(settings: Mapping[str, Any]) -> None:
    """Refuse a value where a group of settings belongs.

    Args:
        settings: As :func:`read_settings` gives them; a group that is missing is not looked for.

    Raises:
        NotPlainError: The message begins with the key.
    """
    for group in GROUPS:
        value = settings.get(group, MISSING)
        if group not in SINGLE and value != MISSING and not isinstance(value, dict):
            raise NotPlainError(f"{group} is {str(value)[:40]!a}, expected a group of settings")
