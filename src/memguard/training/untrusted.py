"""Read the settings of somebody else's file: plain values alone, and no more than settings need.

Checkpoints written before settings were resolved also hold references to other settings
(``${memory.dim}``). Those are resolved within the file; whatever else is in ``${…}`` is text.
"""

import re
from typing import Any

# A file may be built to fill the memory of its reader.
MOST_VALUES = 5_000
DEEPEST = 20
LONGEST_TEXT = 4_096

# A reference to another setting: from the root, or from the setting's own group (``${.width}``).
REFERENCE = re.compile(r"\$\{(\.*)([A-Za-z_]\w*(?:\.\w+)*)\}")


class NotPlainError(Exception):
    """Settings that are no plain values; the message begins with the key."""


def plain_tree(stored: Any) -> dict[str, Any]:
    """Copy a mapping of plain values.

    Args:
        stored: From a file.

    Raises:
        NotPlainError: It is no mapping, or holds other things than plain values, or too many.

    Example:
        >>> plain_tree({"memory": {"size": 10, "shape": (10, 512)}})
        {'memory': {'size': 10, 'shape': [10, 512]}}
        >>> plain_tree({"memory": {"size": print}})
        Traceback (most recent call last):
        memguard.training.untrusted.NotPlainError: memory.size holds a builtin_function_or_method \
that is no plain value
    """
    tree = _Reader().plain("", stored)
    if not isinstance(tree, dict):
        raise NotPlainError("the configuration is no mapping")
    return tree


def resolve_references(tree: dict[str, Any]) -> dict[str, Any]:
    """Put in place of each reference the value that it refers to, within one tree.

    A reference that is not found, or is part of a circle, stays unchanged.

    Args:
        tree: Plain values.

    Raises:
        NotPlainError: The references multiply the values to more than settings are.

    Example:
        >>> resolve_references({"task": {"past": 4}, "model": {"past": "${task.past}"}})
        {'task': {'past': 4}, 'model': {'past': 4}}
    """
    return _Resolver(tree).whole()


def is_expression(value: Any) -> bool:
    """Return whether a value is text with a reference or another expression in it."""
    return isinstance(value, str) and "${" in value


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
    """Copies a tree with its references resolved."""

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
        return self._text(value, place, depth) if is_expression(value) else value

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
