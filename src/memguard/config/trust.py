"""Whose classes settings may name: memguard's own, and those of packages that the user names.

A class in a checkpoint is a name that somebody wrote into a file. It is imported only if the user
has named its package (``trust=my_pkg``), or the class itself in their own configuration.
"""

import importlib
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from memguard.errors import ConfigError

# Keys of settings that Hydra takes for instructions, not for arguments.
TARGET = "_target_"
INSTRUCTIONS = (TARGET, "_partial_", "_args_", "_recursive_", "_convert_")

# Whose classes of memguard's own the user's own class may be made of.
PARTS = ("model", "memory", "guard", "scoring")


class NotTrustedError(Exception):
    """Settings that name something that must not be built; the message begins with the key."""


@dataclass(frozen=True)
class Trust:
    """Whose classes are built beside memguard's own.

    Attributes:
        packages: Packages that the user trusts; everything that is defined in them.
        named: Classes that the user's own configuration names, each with its group.
    """

    packages: tuple[str, ...] = ()
    named: frozenset[tuple[str, str]] = frozenset()

    def allows(self, group: str, target: str) -> bool:
        """Return whether a class may be built."""
        return (group, target) in self.named or self.package(target) is not None

    def package(self, target: str) -> str | None:
        """Name the trusted package that a class is in."""
        inside = (p for p in self.packages if target.startswith(f"{p}."))
        return next(inside, None)


NOBODY = Trust()


def trust_of(config: DictConfig | None, packages: Any = None) -> Trust:
    """Trust what a user says: the classes that their configuration names, and ``trust``.

    Args:
        config: Composed from the user's own files and command, before a checkpoint's settings are
            merged into it.
        packages: A package or a list of them; by default the configuration's ``trust``.

    Raises:
        ConfigError: One of them is no package's name.
    """
    if packages is None and config is not None:
        packages = config.get("trust")
    names = [packages] if isinstance(packages, str) else list(packages or ())
    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(
                f"trust={name} cannot work: it must be the name of a package, or a list of them."
            )
    return Trust(tuple(names), frozenset(_named_in(config)))


def _named_in(config: DictConfig | None) -> Iterator[tuple[str, str]]:
    if config is None:
        return
    for group in config:
        if not OmegaConf.is_missing(config, group) and OmegaConf.is_config(config[group]):
            for target in _targets(config[group]):
                yield str(group), target


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, DictConfig):
        for key in node:
            if OmegaConf.is_missing(node, key):
                continue
            if key == TARGET:
                yield str(node[key])
            elif not OmegaConf.is_interpolation(node, str(key)):
                yield from _targets(node[key])
    elif isinstance(node, ListConfig):
        for i in range(len(node)):
            if not OmegaConf.is_missing(node, i) and not OmegaConf.is_interpolation(node, i):
                yield from _targets(node[i])


def require_allowed(
    group: str, settings: Any, own: Mapping[str, Iterable[str]], trust: Trust
) -> None:
    """Make sure that settings name nothing but what may be built.

    Memguard's own classes take plain values alone; those of a trusted package may be nested, and
    take Hydra's instructions.

    Args:
        group: The settings' key at the root.
        settings: Plain ones.
        own: The classes of memguard's own that each key may name.
        trust: Whose are allowed beside them.

    Raises:
        NotTrustedError: They name something else.
    """
    _require_allowed(group, group, settings, own, trust, free=False)


def _require_allowed(
    group: str,
    key: str,
    node: Any,
    own: Mapping[str, Iterable[str]],
    trust: Trust,
    *,
    free: bool,
) -> None:
    """Look through settings; ``free`` in what the user's own class is given."""
    if isinstance(node, list):
        for place, value in enumerate(node):
            _require_allowed(group, f"{key}.{place}", value, own, trust, free=free)
    if not isinstance(node, dict):
        return
    if TARGET in node:
        free = _require_target(group, key, node[TARGET], own, trust, free=free)
    for name, value in node.items():
        partial = name == "_partial_" and value is True and key == "optimizer"
        if name in INSTRUCTIONS[1:] and not free and not partial:
            raise NotTrustedError(
                f"{key}.{name} is {_shown(value)}, but memguard's own classes are made from plain "
                "values alone"
            )
        _require_allowed(group, f"{key}.{name}", value, own, trust, free=free)


def _require_target(
    group: str,
    key: str,
    target: Any,
    own: Mapping[str, Iterable[str]],
    trust: Trust,
    *,
    free: bool,
) -> bool:
    """Require that a class may be built; return whether it is the user's own."""
    if target in (None, "???") or (isinstance(target, str) and target in own.get(key, ())):
        return False
    if not isinstance(target, str) or not all(part.isidentifier() for part in target.split(".")):
        raise NotTrustedError(f"{key}.{TARGET} is {_shown(target)}, which is no class's name")
    if free and any(target in own.get(part, ()) for part in PARTS):
        return True
    if not trust.allows(group, target):
        raise NotTrustedError(
            f"{key}.{TARGET} is {_shown(target)}, which is none of memguard's own classes for "
            f"{key}: nothing of it was run; {_remedy(target, trust)}"
        )
    if (group, target) not in trust.named:
        package = trust.package(target)
        assert package  # an allowed class that is not named is in a package
        _require_defined(key, target, package)
    return True


def _remedy(target: str, trust: Trust) -> str:
    package = target.partition(".")[0]
    if package in sys.stdlib_module_names or package == "memguard":
        return "get the file again from a source that you trust"
    packages = ",".join((*trust.packages, package))
    words = f"[{packages}]" if trust.packages else package
    return f"if it is your own class, and you trust the file, add trust={words}"


def _require_defined(key: str, target: str, package: str) -> None:
    """Require that a name leads to a class or function which a trusted package defines itself."""
    parts = target.split(".")
    found: Any = _import(parts[0], f"{key}.{TARGET} is {_shown(target)}", package)
    for i, part in enumerate(parts[1:], start=1):
        if isinstance(found, ModuleType):
            if not _inside(found.__name__, package) and not _inside(package, found.__name__):
                break
            if not hasattr(found, part):
                name = ".".join(parts[: i + 1])
                found = _import(name, f"{key}.{TARGET} is {_shown(target)}", package)
                continue
        found = getattr(found, part, None)
    if not callable(found) or not _inside(str(getattr(found, "__module__", "")), package):
        raise NotTrustedError(
            f"{key}.{TARGET} is {_shown(target)}, which {package} does not define itself; "
            "trust covers the classes and functions that a package defines"
        )


def _import(name: str, what: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotTrustedError(
            f"{what}, which cannot be imported ({error}); install {package}, or run the command "
            "from its folder"
        ) from error


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


def _shown(value: Any) -> str:
    """Show a value in a sentence: short, on one line, without control characters."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
