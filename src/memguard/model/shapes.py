"""Shapes: reject arguments that do not fit; PyTorch would broadcast them to wrong values."""

from typing import Protocol


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


def require_shapes(**arguments: tuple[_Shaped | None, str]) -> None:
    """Reject arguments that do not have the expected shapes.

    The check takes microseconds, waits for no device, and is free within a compiled step.

    Args:
        **arguments: For each name, an array, a tensor or None, and its expected shape: a letter for
            each dimension. A letter stands for the same size in all arguments, and "…" at the end
            for any further dimensions. "|" separates alternative shapes.

    Raises:
        ValueError: If an argument has another shape; the message has both shapes.

    Example:
        >>> import torch
        >>> require_shapes(query=(torch.ones(2, 9, 5), "B K C"), items=(torch.ones(4, 5), "M C"))
        >>> require_shapes(query=(torch.ones(9, 5), "B K C"))
        Traceback (most recent call last):
        ...
        ValueError: query must have the shape (B, K, C), but it has (9, 5).
        >>> require_shapes(query=(torch.ones(2, 9, 5), "B K C"), items=(torch.ones(4, 3), "M C"))
        Traceback (most recent call last):
        ...
        ValueError: items must have the shape (M, C) with C = 5 as in query, but it has (4, 3).
    """
    sizes: dict[str, tuple[int, str]] = {}
    for name, (value, expected) in arguments.items():
        if value is not None and not _fits(tuple(value.shape), expected, sizes, name):
            raise ValueError(_message(name, tuple(value.shape), expected, sizes))


def _fits(
    shape: tuple[int, ...], expected: str, sizes: dict[str, tuple[int, str]], name: str
) -> bool:
    """Return whether a shape is an expected one, and record new sizes."""
    for alternative in expected.split("|"):
        letters = alternative.split()
        more = letters[-1] == "…"
        letters = letters[: len(letters) - more]
        own = shape[: len(letters)] if more else shape
        if len(own) == len(letters):
            known = {letter: size for letter, (size, _) in sizes.items() if letter in letters}
            found = dict(zip(letters, own, strict=True))
            if found | known != found:
                return False
            for letter, size in found.items():
                sizes.setdefault(letter, (size, name))
            return True
    return False


def _message(
    name: str, shape: tuple[int, ...], expected: str, sizes: dict[str, tuple[int, str]]
) -> str:
    shapes = " or ".join(f"({', '.join(letters.split())})" for letters in expected.split("|"))
    named = expected.replace("|", " ").split()
    known = {letter: found for letter, found in sizes.items() if letter in named}
    values = " and ".join(f"{letter} = {size}" for letter, (size, _) in known.items())
    sources = " and ".join(dict.fromkeys(source for _, source in known.values()))
    condition = f" with {values} as in {sources}" if known else ""
    return f"{name} must have the shape {shapes}{condition}, but it has {shape}."
