"""Settings as checkpoints hold them: plain values, in which nothing is left to be looked up.

Checkpoints written before settings were resolved also hold references to other settings
(``${memory.dim}``). Those are resolved here, within the file; whatever else is in ``${…}`` is text.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from memguard.training.moved import present_place

# The groups that build a detector again, and that compare two trainings.
GROUPS = (
    "task",
    "model",
    "memory",
    "loss",
    "guard",
    "scoring",
    "data",
    "dataset",
    "optimizer",
    "trainer",
    "batch_norm",
    "compile",
    "seed",
)
# Those that are values by themselves, and no groups of settings.
SINGLE = ("batch_norm", "compile", "seed")
MISSING = "???"

# A file may be built to fill the memory of its reader.
MOST_VALUES = 5_000
DEEPEST = 20
LONGEST_TEXT = 4_096

# A reference to another setting: from the root, or from the setting's own group (``${.width}``).
REFERENCE = re.compile(r"\$\{(\.*)([A-Za-z_]\w*(?:\.\w+)*)\}")

# Marks a dataset's root that lies in paths.data_dir, wherever that is for whoever reads it.
IN_DATA_DIR = "root_in_data_dir"


class NotPlainError(Exception):
    """Settings that are no plain values; the message begins with the key."""


def own_paths() -> dict[str, str]:
    """Give this machine's folders, as ``conf/evaluate.yaml`` has them by default."""
    return {
        "data_dir": os.environ.get("MEMGUARD_DATA", "data"),
        "cache_dir": os.environ.get("MEMGUARD_CACHE", "~/.cache/memguard"),
    }


def plain_settings(config: DictConfig) -> dict[str, Any]:
    """Give what a checkpoint holds of a configuration: resolved, in plain types.

    Folders of this machine are left out, apart from a dataset's root; that is relative where it
    lies in ``paths.data_dir``. Of the trainer's options, those that are objects are left out.
    """
    tree: dict[str, Any] = {
        group: _resolved(config, group) for group in GROUPS if not _is_absent(config, group)
    }
    tree.get("data", {}).pop("cache_dir", None)
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
    """Read what a checkpoint holds of its configuration.

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
    tree = _Reader().plain("", stored)
    if not isinstance(tree, dict):
        raise NotPlainError("the configuration is no mapping")
    tree["paths"] = dict(paths or own_paths())
    resolved = _Resolver(tree).whole()
    del resolved["paths"]
    data = resolved.get("data")
    if isinstance(data, dict):
        data.pop("cache_dir", None)
    unknown = {key: text for key, text in leaves(resolved) if _is_expression(text)}
    known = _each_leaf(
        resolved, lambda leaf: MISSING if _is_expression(leaf) else present_place(leaf)
    )
    _place_dataset(known, tree["paths"]["data_dir"])
    return known, unknown


def _place_dataset(tree: dict[str, Any], data_dir: str) -> None:
    dataset = tree.get("dataset")
    if isinstance(dataset, dict) and isinstance(inside := dataset.pop(IN_DATA_DIR, None), str):
        dataset["root"] = str(Path(data_dir) / inside)


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and "${" in value


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


class _Budget:
    """Counts values, and refuses what has too many of them."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def spend(self, key: str, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise NotPlainError(f"{key} holds more, or is nested deeper, than settings do")


class _Reader(_Budget):
    """Copies a tree of plain values."""

    def plain(self, key: str, value: Any, depth: int = 0) -> Any:
        """Copy a value, or refuse it."""
        self.spend(key, depth)
        if isinstance(value, dict):
            return {
                name: self.plain(f"{key}.{name}" if key else name, inner, depth + 1)
                for name, inner in map(self._named, value.items())
            }
        if isinstance(value, (list, tuple)):
            return [self.plain(f"{key}.{i}", inner, depth + 1) for i, inner in enumerate(value)]
        if value is None or type(value) in (bool, float):
            return value
        if type(value) is int and value.bit_length() < 64:
            return value
        if type(value) is str and len(value) <= LONGEST_TEXT:
            return value
        raise NotPlainError(f"{key} holds a {type(value).__name__} that is no plain value")

    def _named(self, item: tuple[Any, Any]) -> tuple[str, Any]:
        name, inner = item
        if type(name) is not str or not re.fullmatch(r"[\w\-]{1,100}", name):
            raise NotPlainError("the configuration has a key that is no name")
        return name, inner


class _Resolver(_Budget):
    """Puts in place of references what they refer to, within one tree.

    A reference that is not found, or is part of a circle, stays unchanged.
    """

    def __init__(self, tree: dict[str, Any]) -> None:
        super().__init__()
        self._tree = tree

    def whole(self) -> dict[str, Any]:
        """Resolve the whole tree."""
        resolved: dict[str, Any] = self._value(self._tree, ())
        return resolved

    def _value(self, value: Any, place: tuple[str, ...], depth: int = 0) -> Any:
        self.spend(".".join(place), depth)
        if isinstance(value, dict):
            return {k: self._value(v, (*place, k), depth + 1) for k, v in value.items()}
        if isinstance(value, list):
            return [self._value(v, (*place, str(i)), depth + 1) for i, v in enumerate(value)]
        return self._text(value, place, depth) if _is_expression(value) else value

    def _text(self, text: str, place: tuple[str, ...], depth: int) -> Any:
        if "\\$" in text:  # escaped
            return text
        if whole := REFERENCE.fullmatch(text):
            return self._referred(whole, place, depth)
        filled = REFERENCE.sub(lambda found: str(self._referred(found, place, depth)), text)
        return filled if len(filled) <= LONGEST_TEXT else text

    def _referred(self, found: re.Match[str], place: tuple[str, ...], depth: int) -> Any:
        """Look a reference up; its own text where there is nothing to be found."""
        dots, name = found.groups()
        base = place[: -len(dots)] if dots else ()
        target = (*base, *name.split("."))
        value: Any = self._tree
        for part in target:
            if not isinstance(value, dict) or part not in value:
                return found[0]
            value = value[part]
        if depth >= DEEPEST:  # in a circle
            return found[0]
        return self._value(value, target, depth + 1)


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
