"""Find every problem of a configuration: keys, values, and values that do not go together."""

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from memguard.config.schema import Command
from memguard.config.sentences import Problem, shown, wanted
from memguard.config.trust import INSTRUCTIONS, TARGET
from memguard.config.values import Part, Settings, group_of
from memguard.data.video.addresses import shown as without_password

UNSET = "???"  # OmegaConf's mark of a value that is not set yet
UNSET_VARIABLE = re.compile(r"Environment variable '(\w+)' not found")
UNKNOWN_CAPITALS = re.compile(r"Interpolation key '([A-Z][A-Z0-9_]*)' not found")
REFERENCE = re.compile(r"\$\{([\w.]+)\}")


def find_problems(command: type[Command], config: DictConfig) -> list[Problem]:
    """Find all that cannot work, in the order of the configuration.

    Args:
        command: The settings that the configuration holds.
        config: Composed for that command.
    """
    texts = _texts(config)
    unresolved = list(_unresolved(config, texts))
    found = {problem.keys[0]: problem for problem in unresolved}

    def is_readable(key: str) -> bool:
        holes = any(_lies_in(problem.keys[0], key) for problem in unresolved)
        return not holes and not _is_at_fault(key, found)

    for problem in _impossible(command, config, texts):
        if is_readable(problem.keys[0]):
            found[problem.keys[0]] = problem
    problems = _without_echoes(found, texts)
    for check in command.checks:
        if all(map(is_readable, check.keys)):
            problems += check.problems(config)
    places = list(texts)
    return sorted(problems, key=lambda problem: _place(problem.keys[0], places))


def find_unresolved(config: DictConfig) -> list[Problem]:
    """Find values that are not set, and interpolations that lead nowhere."""
    texts = _texts(config)
    return _without_echoes({p.keys[0]: p for p in _unresolved(config, texts)}, texts)


def _without_echoes(found: Mapping[str, Problem], texts: Mapping[str, Any]) -> list[Problem]:
    """Leave out values that refer to another one at fault: they repeat its fault."""
    return [
        problem
        for key, problem in found.items()
        if not any(_is_at_fault(other, found) for other in _references(texts.get(key)))
    ]


def _is_at_fault(key: str, faults: Iterable[str]) -> bool:
    """Return whether a setting, or a group that it is in, is among those at fault."""
    return any(_lies_in(key, fault) for fault in faults)


def _lies_in(key: str, group: str) -> bool:
    return key == group or key.startswith(f"{group}.")


def _place(key: str, places: list[str]) -> int:
    """Return the position of a setting, or of its group if it is not set."""
    inside = (i for i, place in enumerate(places) if _lies_in(place, key))
    group = key.rpartition(".")[0]
    return next(inside, _place(group, places) if group else len(places))


def _texts(config: DictConfig) -> dict[str, Any]:
    """Return every setting by its dotted key, with interpolations as they are written."""
    return dict(_leaves(OmegaConf.to_container(config, resolve=False), ""))


def _leaves(node: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, (dict, list)):
        for name, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _leaves(value, f"{key}.{name}" if key else str(name))
    else:
        yield key, node


def _references(text: Any) -> list[str]:
    """Return the settings that a value refers to."""
    return REFERENCE.findall(text) if isinstance(text, str) else []


def _unresolved(config: DictConfig, texts: Mapping[str, Any]) -> Iterator[Problem]:
    for key, text in texts.items():
        if text == UNSET:
            key = key.removesuffix(f".{TARGET}")  # what a group's choice sets
            yield Problem((key,), f"{key} is not set: add {key}=… to the command.")
        elif isinstance(text, str) and "${" in text:
            try:
                OmegaConf.select(config, key)
            except OmegaConfBaseException as error:
                yield Problem((key,), f"{key} cannot work: {_reason(error)}.")


def _reason(error: Exception) -> str:
    """Say why a value cannot be resolved: mostly a variable of the environment is missing."""
    line = _first_line(error)
    if missing := UNSET_VARIABLE.search(line):
        return f"the environment variable {missing[1]} is not set"
    if variable := UNKNOWN_CAPITALS.match(line):
        return f"{line}; an environment variable is written ${{oc.env:{variable[1]}}}"
    return line


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


def _impossible(
    command: type[Command], config: DictConfig, texts: Mapping[str, Any]
) -> Iterator[Problem]:
    """Find unknown keys, and values that are not among those of their setting."""
    reader = _Reader(command, config, texts)
    try:
        command.model_validate(reader.values())
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_context=False):
            yield from reader.problem(fault)


class _Reader:
    """Read the values that the models check, and turn the errors of pydantic into problems.

    Args:
        command: The models.
        config: Composed for that command.
        texts: Every setting, with interpolations as they are written.
    """

    def __init__(
        self, command: type[Command], config: DictConfig, texts: Mapping[str, Any]
    ) -> None:
        self._command, self._config, self._texts = command, config, texts

    def values(self) -> dict[str, Any]:
        """Resolve the values that the models check."""
        return dict(self._values(self._command, ""))

    def _values(self, settings: type[Settings], group: str) -> Iterator[tuple[str, Any]]:
        target = self._value(f"{group}{TARGET}")
        for name in map(str, self._value(group[:-1])):
            key, field = f"{group}{name}", settings.model_fields.get(name)
            if name in INSTRUCTIONS or not settings.checks_key(name, target):
                continue
            if field is None:
                if not self._is_allowed(settings, key):
                    yield name, None
                continue
            value, inner = self._value(key), group_of(field)
            if inner and isinstance(value, DictConfig):
                yield name, dict(self._values(inner, f"{key}."))
            elif value is not None or not self._is_as_trained(key):
                yield name, self._plain(value) if OmegaConf.is_config(value) else value

    def problem(self, fault: ErrorDetails) -> Iterator[Problem]:
        """Turn an error of pydantic into a problem, unless the key may be there or be left out."""
        settings: type[Settings] = self._command
        group = ""
        for name in map(str, fault["loc"]):
            key, field = f"{group}{name}", settings.model_fields.get(name)
            if field is None:
                if sentence := settings.refuse_key(group, name, self._value(key)):
                    yield Problem((key,), sentence)
                return
            inner = group_of(field)
            if inner is None or name == fault["loc"][-1]:
                break
            settings, group = inner, f"{key}."
        target = self._value(f"{group}{TARGET}")
        needed = settings.checks_key(name, target) and not self._is_as_trained(key)
        if fault["type"] == "missing" and not needed:
            return
        values = wanted(_json_schemas(settings)[name])
        value = _without_password(self._value(key))
        sentence = f"{key}={shown(value)} cannot work: it must be {values}."
        yield Problem((key,), sentence)

    def _value(self, key: str) -> Any:
        with suppress(OmegaConfBaseException):  # reported by itself
            return OmegaConf.select(self._config, key) if key else self._config
        return None

    def _plain(self, value: Any) -> Any:
        with suppress(OmegaConfBaseException):
            return OmegaConf.to_container(value, resolve=True)
        return None

    def _is_as_trained(self, key: str) -> bool:
        return key.partition(".")[0] in self._command.as_trained

    def _is_allowed(self, settings: type[Settings], key: str) -> bool:
        """Return whether a group takes a key that its model does not have.

        A key that other values refer to is of use, but an object would not take it.
        """
        if settings.model_config["extra"] != "forbid":
            return True
        reference = re.compile(rf"\$\{{[^}}]*(\b{re.escape(key)}\b|\.{key.rpartition('.')[2]}\b)")
        others = (text for place, text in self._texts.items() if not _lies_in(place, key))
        referred = any(isinstance(text, str) and reference.search(text) for text in others)
        return referred and not issubclass(settings, Part)


def _without_password(value: Any) -> Any:
    return value if value is None or isinstance(value, bool) else without_password(str(value))


@cache
def _json_schemas(settings: type[Settings]) -> dict[str, dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = settings.model_json_schema()["properties"]
    return schemas
