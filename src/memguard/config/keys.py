"""Find a key or option that a command does not have, and name the nearest."""

import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, cast
from warnings import catch_warnings, simplefilter

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from memguard.config.sentences import listed, unknown
from memguard.config.trainer import OURS, option_names
from memguard.config.trust import TARGET
from memguard.errors import ConfigError

# With these, a command may have another configuration.
ELSEWHERE = ("--config-n", "--config-p", "-cn", "-cp", "--experimental-rerun")

Command = Callable[[], Any]


def with_known_keys(name: str, folder: str) -> Callable[[Command], Command]:
    """Decorate a command to refuse an unknown key and name the nearest.

    Args:
        name: Of its configuration.
        folder: Where that is.
    """

    def checked(command: Command) -> Command:
        @wraps(command)
        def run() -> Any:
            if message := unknown_keys(name, folder, sys.argv[1:]):
                sys.exit(message)
            return command()

        return run

    return checked


def unknown_keys(name: str, folder: str, words: Sequence[str]) -> str | None:
    """Find the keys and options of a command line that the command does not have.

    Args:
        name: Of the command's configuration.
        folder: Where that is.
        words: Of the command line.

    Returns:
        A sentence for each, with the nearest key; None where all are known, or Hydra has to say
        why not.
    """
    if any(word.startswith(ELSEWHERE) for word in words):
        return None
    settings = [word for word in words if "=" in word and not word.startswith(("-", "~"))]
    try:
        overrides = OverridesParser.create().parse_overrides(settings)
        groups = [override for override in overrides if _chooses(override, Path(folder))]
        places = f"hydra.searchpath={_searched(words, overrides)}"
        with catch_warnings(), initialize_config_dir(folder, version_base="1.3"):
            simplefilter("ignore")  # Hydra gives them to the command itself
            choices = _choices(name) if groups else []
            found = [_no_group(group, choices) for group in groups]
            if not any(found):
                listed_by = partial(_options, name, places)
                found = [_unknown_option(group, listed_by) for group in groups]
            # An unknown option has no keys; those of its group are looked for when it is known.
            if not any(found):
                config = compose(name, [*map(_first_choice, groups), places])
                changes = _changes(overrides, groups)
                found = [_unknown(config, override.key_or_group) for override in changes]
    except ConfigError as error:
        return str(error)
    except (HydraException, OmegaConfBaseException):
        return None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{mark.name}, line {mark.line + 1}" if mark else "a file of settings"
        return f"{place}: this is no YAML ({error.problem}); correct it."
    sentences = [sentence for sentence in found if sentence]
    return listed(sentences) if sentences else None


def _searched(words: Sequence[str], overrides: Sequence[Override]) -> list[str]:
    """List the places beside ``conf/`` that a command line lets Hydra look for options in."""
    places = [
        str(place)
        for override in overrides
        if override.key_or_group == "hydra.searchpath" and isinstance(override.value(), list)
        for place in cast(list[object], override.value())
    ]
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd")  # as Hydra takes it
    added = parser.parse_known_args(list(words))[0].config_dir
    if added and not Path(added).is_dir():
        raise ConfigError(f"--config-dir={added}: there is no such folder; correct its path.")
    return [*places, f"file://{Path(added).absolute()}"] if added else places


def _changes(overrides: Sequence[Override], groups: Sequence[Override]) -> Iterator[Override]:
    """Yield the overrides that change a value which is there already."""
    for override in overrides:
        adds = override.is_add() or override.is_force_add()
        if not adds and override not in groups and not override.key_or_group.startswith("hydra."):
            yield override


def _chooses(override: Override, folder: Path) -> bool:
    """Tell whether an override chooses an option of a group."""
    group = override.key_or_group
    return group.startswith("hydra/") or override.package is not None or (folder / group).is_dir()


def _choices(name: str) -> list[str]:
    """List the groups whose options a command chooses."""
    return sorted(map(str, compose(name, return_hydra_config=True).hydra.runtime.choices))


def _no_group(override: Override, choices: Sequence[str]) -> str | None:
    """Refuse a group of another command: a checkpoint, say, has its model."""
    group = override.key_or_group
    if override.is_add() or override.package or "/" in group or group in ("", *choices):
        return None
    own = ", ".join(choice for choice in choices if "/" not in choice)
    listing = f"its groups are {own}" if own else "it has none"
    return f"{group} is no group of this command's options: {listing}."


def _unknown_option(override: Override, options: Callable[[str], list[str]]) -> str | None:
    """Refuse what is no option of a group; Hydra ignores one of an optional group."""
    group = override.key_or_group
    if override.is_delete():
        return None
    if not _is_text(override):  # Hydra raises a traceback
        listing = ", ".join(options(group))
        return f"{override.input_line} cannot work: set {group} to {listing}, or leave it out."
    if group.startswith("hydra/"):  # Hydra says what is installed
        return None
    for option in _chosen(override):
        inner, slash, name = option.removesuffix(".yaml").rpartition("/")
        known = options(f"{group}{slash}{inner}")
        if known and name not in known:
            return unknown(f"{group}={inner}{slash}", name, known)
    return None


def _is_text(override: Override) -> bool:
    """Tell whether an override chooses by names, and not by null or a number."""
    return override.is_sweep_override() or isinstance(override.value(), (str, list, QuotedString))


def _options(name: str, places: str, group: str) -> list[str]:
    """List the options of a group, in ``conf/`` and in other places."""
    loader = GlobalHydra.instance().config_loader()
    return sorted(loader.get_group_options(group, config_name=name, overrides=[places]))


def _chosen(override: Override) -> list[str]:
    if override.is_discrete_sweep():
        return [str(text) for text in override.sweep_string_iterator()]
    if override.is_sweep_override():  # glob(…) finds what there is
        return []
    value = override.value()
    return [str(part) for part in (value if isinstance(value, list) else [value])]


def _first_choice(override: Override) -> str:
    if override.is_discrete_sweep():
        return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
    return str(override.input_line)


def _unknown(config: DictConfig, key: str) -> str | None:
    node: Any = config
    parts = key.split(".")
    for depth, part in enumerate(parts):
        if not isinstance(node, DictConfig) or node._is_none() or node._is_interpolation():
            return None
        group = "".join(f"{before}." for before in parts[:depth])
        known = [*map(str, node), *((*option_names(), *OURS) if group == "trainer." else ())]
        if part not in known:
            sentence = unknown(group, ".".join(parts[depth:]), [k for k in known if k[0] != "_"])
            takes_others = depth and TARGET in node and "did you mean" not in sentence
            return (
                f"{sentence} Another argument of its class is +{key}=…"
                if takes_others
                else sentence
            )
        node = node._get_node(part)
    return None


def groups() -> str:
    """List the groups that the running command uses, with their options, for its help."""
    loader = GlobalHydra.instance().config_loader()
    chosen = sorted(map(str, HydraConfig.get().runtime.choices))
    own = [group for group in chosen if not group.startswith("hydra/")]
    return "\n".join(f"{group}: {', '.join(loader.get_group_options(group))}" for group in own)
