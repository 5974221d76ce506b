"""Print a configuration as a tree, without credentials."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lightning_fabric.utilities.rank_zero import rank_zero_only
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.text import Text
from rich.tree import Tree

from memguard.config.sentences import shown
from memguard.data.video.addresses import HIDDEN
from memguard.data.video.addresses import shown as shown_address

# Shorter values of the environment are no credentials: 1, true, cpu.
_SHORTEST_SECRET = 6
_SECRET = re.compile(r"(^|_)(api_?key|key|token|secret|password|passwd|credentials?|auth)(_|$)")


@rank_zero_only
def print_config(config: DictConfig) -> None:
    """Print a composed configuration.

    Credentials are hidden: values of keys such as ``api_key``, passwords in addresses, and what
    comes from an environment variable; folders (``paths``) may come from there.

    Args:
        config: Of a command; every value resolves.
    """
    Console().print(config_tree(config))


def config_tree(config: DictConfig) -> Tree:
    """Arrange a configuration as a tree without credentials; see :func:`print_config`.

    Args:
        config: Of a command; every value resolves.
    """
    written: Any = OmegaConf.to_container(config)
    resolved: Any = OmegaConf.to_container(config, resolve=True)
    secrets = {text for text in _secrets(written, resolved) if text}
    tree = Tree("Configuration")
    _grow(tree, resolved, secrets)
    return tree


def _secrets(written: Any, resolved: Any, key: str = "") -> Iterator[str]:
    """Yield values that the terminal must not show, wherever they are repeated."""
    if isinstance(resolved, dict):
        for name, value in resolved.items():
            inner = written.get(name) if isinstance(written, dict) else written
            yield from _secrets(inner, value, f"{key}.{name}")
    elif isinstance(resolved, list):
        for place, value in enumerate(resolved):
            inner = written[place] if isinstance(written, list) else written
            yield from _secrets(inner, value, key)
    elif resolved is not None:
        text = str(resolved)
        of_environment = "oc.env" in str(written) and not key.startswith(".paths.")
        named_so = any(map(_SECRET.search, key.lower().split(".")))
        if named_so or (of_environment and len(text) >= _SHORTEST_SECRET):
            yield text


def _grow(branch: Tree, group: Mapping[str, Any], secrets: set[str]) -> None:
    for name, value in group.items():
        if value and isinstance(value, dict):
            _grow(branch.add(Text(name)), value, secrets)
        else:
            branch.add(Text(f"{name}: {_without(secrets, value)}"))


def _without(secrets: set[str], value: Any) -> str:
    text = shown_address(shown(value))
    return HIDDEN if any(secret in str(value) for secret in secrets) else text
