"""Shapes: what does not fit together is refused, where it would broadcast to a wrong number."""

from typing import Protocol


class _Shaped(Protocol):
    @property
    def shape(self) -> tuple[int, ...]: ...


def require_shapes(**arguments: tuple[_Shaped | None, str]) -> None:
    """Refuse arguments whose shapes are not those that are meant.

    It takes microseconds and waits for no device; within a compiled step it costs nothing.

    Args:
        **arguments: By its name, each array or tensor, or None where it is left out, and its shape:
            a letter for each dimension. The same letter stands for the same size in all arguments,
            and "…" at the end for any more dimensions. Shapes of different length may be given,
            parted by "|".

    Raises:
        ValueError: The first argument that does not fit, its shape and the one that is expected.

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
    for name, (value, meant) in arguments.items():
        if value is not None and not _fits(tuple(value.shape), meant, sizes, name):
            raise ValueError(_refusal(name, tuple(value.shape), meant, sizes))


def _fits(shape: tuple[int, ...], meant: str, sizes: dict[str, tuple[int, str]], name: str) -> bool:
    """Tell whether a shape is one of those that are meant, and note the sizes that are new."""
    for alternative in meant.split("|"):
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


def _refusal(
    name: str, shape: tuple[int, ...], meant: str, sizes: dict[str, tuple[int, str]]
) -> str:
    expected = " or ".join(f"({', '.join(shape.split())})" for shape in meant.split("|"))
    named = meant.replace("|", " ").split()
    known = {letter: found for letter, found in sizes.items() if letter in named}
    values = " and ".join(f"{letter} = {size}" for letter, (size, _) in known.items())
    sources = " and ".join(dict.fromkeys(source for _, source in known.values()))
    given = f" with {values} as in {sources}" if known else ""
    return f"{name} must have the shape {expected}{given}, but it has {shape}."
