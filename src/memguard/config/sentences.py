"""Sentences that refuse settings: the key, its value, and the values that work."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, NamedTuple

LONGEST_SHOWN = 200  # letters of a value in a sentence


class Problem(NamedTuple):
    """A setting that cannot work.

    Attributes:
        keys: The settings that it depends on; the sentence is about the first one.
        sentence: Names the key, the fault and the remedy.
    """

    keys: tuple[str, ...]
    sentence: str


def listed(sentences: Sequence[str]) -> str:
    """Join sentences: one stands alone, several are counted and have a line each.

    >>> print(listed(["a is not known.", "b is not set."]))
    The configuration has 2 problems:
    a is not known.
    b is not set.
    """
    head = [f"The configuration has {len(sentences)} problems:"] if len(sentences) > 1 else []
    return "\n".join([*head, *sentences])


def shown(value: Any) -> str:
    r"""Format a value as on a command line, without control characters.

    >>> shown(True), shown(None), shown(0.1), shown("a\x1b[2J")
    ('true', 'null', '0.1', "'a\\x1b[2J'")
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = str(value)
    text = text if text.isprintable() else ascii(text)  # a file may hold control codes of terminals
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"


def unknown(group: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is not known, and name the nearest.

    Args:
        group: Before the name, with its dot.
        name: That was given.
        known: Those that are there.

    >>> unknown("trainer.", "max_epoch", ("max_epochs", "max_steps"))
    'trainer.max_epoch is not known: did you mean trainer.max_epochs?'
    >>> unknown("callbacks.mine.", "size", ())
    'callbacks.mine.size is not known: there is none to set.'
    """
    names = sorted(known)
    if near := get_close_matches(name, names, n=1, cutoff=0.5):
        return f"{group}{name} is not known: did you mean {group}{near[0]}?"
    others = f"it must be one of {', '.join(names)}" if names else "there is none to set"
    return f"{group}{name} is not known: {others}."


@dataclass(frozen=True)
class Words:
    """Words for values, in place of those that :func:`wanted` finds by itself.

    Attributes:
        wanted: The whole description of a value.
        unit: The unit of a number.
    """

    wanted: str = ""
    unit: str = ""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        """Add the words to the JSON schema of the values."""
        return {**handler(core), **{name: text for name, text in asdict(self).items() if text}}


def wanted(values: Mapping[str, Any]) -> str:
    """Describe values, after "it must be".

    Args:
        values: Their JSON schema, as pydantic makes it of a type.

    >>> wanted({"type": "number", "minimum": 0, "maximum": 1})
    'a number from 0 to 1'
    >>> wanted({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]})
    'a whole number of at least 1, or null'
    >>> wanted({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
    'a number above 0 and below 1'
    >>> wanted({"enum": ["none", "disk", "ram"]})
    'none, disk or ram'
    """
    if "wanted" in values:
        return str(values["wanted"])
    if kinds := values.get("anyOf"):
        others = [wanted(kind) for kind in kinds if kind.get("type") != "null"]
        return " or ".join(others) + (", or null" if len(others) < len(kinds) else "")
    if choices := values.get("enum", [values["const"]] if "const" in values else []):
        *first, last = map(str, choices)
        return f"{', '.join(first)} or {last}" if first else last
    if values.get("type") in ("integer", "number"):
        return _number(values)
    kinds_of_value = {"boolean": "true or false", "string": "a text"}
    return kinds_of_value.get(values.get("type", ""), "a group of settings")


def _number(values: Mapping[str, Any]) -> str:
    of = f" of {values['unit']}" if "unit" in values else ""
    low, high = values.get("minimum"), values.get("maximum")
    if values["type"] == "integer":
        limits = {"at least": low, "at most": high}
        ends = [f"{end} {limit}" for end, limit in limits.items() if limit is not None]
        return f"a whole number{of}" + (f" of {' and '.join(ends)}" if ends else "")
    above, below = values.get("exclusiveMinimum"), values.get("exclusiveMaximum")
    if above is not None:
        return f"a number{of} above {above:g}" + ("" if below is None else f" and below {below:g}")
    if below is not None:
        return f"a number{of} from {low:g} to below {below:g}"
    return f"a number{of} " + (
        f"of at least {low:g}" if high is None else f"from {low:g} to {high:g}"
    )
