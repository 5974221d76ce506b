"""Quote the words of a command line before Hydra reads them.

Hydra's grammar gives ``= , : { [ ( #`` and more a meaning, and Hydra records every word. Paths are
quoted here, which Hydra then takes literally. Addresses with passwords are kept out of its records.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import pairwise
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memguard.data.video.addresses import put_aside, shown
from memguard.errors import FULL_ERROR, ConfigError, UserError

# Keys whose values may be addresses with passwords.
ADDRESSES = frozenset({"video", "notify.webhook", "notify.mqtt"})
MISSING = "???"  # OmegaConf's mark of a value that is not set yet
LITERAL = ADDRESSES | {
    "checkpoint", "weights", "run", "dataset.root", "paths.data_dir", "paths.cache_dir",
    "hydra.run.dir", "hydra.sweep.dir",
}  # fmt: skip

# Values of these may be addresses that their owner needs whole.
_OF_OTHERS = ("hydra.", "hydra/", "logger.")

_OVERRIDE = re.compile(r"(\+{0,2}[\w./@-]+=)(.*)", re.DOTALL)
_PART = re.compile(
    r"""\s*(
        '(?:[^'\\]|\\.)*' (?=\s*(?:,|\Z))
        | "(?:[^"\\]|\\.)*" (?=\s*(?:,|\Z))
        | (?:\$\{[^{}]*\} | (?!\$\{[^{}]*\})[^,])*?
    )\s*(,|\Z)""",
    re.DOTALL | re.VERBOSE,
)
_CHOICE = re.compile(r"choice\((.*)\)\Z", re.DOTALL)
_SWEEP = re.compile(r"(glob|range|interval|sort|shuffle|tag)\((?!.*://).*\)", re.DOTALL)
_VARIABLE = re.compile(r"\$\{oc\.env:\s*(\w+)\s*(?:,\s*([^{}]*?)\s*)?\}")


def run(command: Callable[[], object], literal: Sequence[str] = ()) -> None:
    """Run a command of Hydra with the quoted words of this process.

    Args:
        command: As ``hydra.main`` returns it.
        literal: Keys with paths that this command has beside those that all have.
    """
    try:
        sys.argv[1:] = as_meant(sys.argv[1:], LITERAL.union(literal))
    except UserError as error:
        if os.environ.get(FULL_ERROR) == "1":
            raise
        sys.exit(str(error))
    command()


def as_meant(words: Sequence[str], literal: frozenset[str] = LITERAL) -> list[str]:
    """Rewrite words so that Hydra takes paths and addresses literally.

    ``null``, nothing, values in quotes and interpolations keep the meaning that Hydra gives them.
    In a multirun commas separate values, outside quotes. ``video=@FILE`` stands for the first line
    of a file. Addresses with a password are put aside; see :mod:`memguard.data.video.addresses`.

    Args:
        words: Of the command line.
        literal: The keys whose values are paths or addresses.

    Returns:
        Words for Hydra; the same ones, given again, come back as they are.

    Raises:
        ConfigError: A file or environment variable that an address is to be read from is missing;
            or a comma in a multirun cuts an address in two.

    Example:
        >>> as_meant(["video=rtsp://admin:pw@door/cam?channel=1", "checkpoint=a[1].ckpt", "seed=1"])
        ["video='rtsp://***@door/cam?channel=1'", "checkpoint='a[1].ckpt'", 'seed=1']
    """
    several = _is_multirun(words)
    return [_word(word, literal, several) for word in words]


def _is_multirun(words: Sequence[str]) -> bool:
    chosen = ("-m", "--multirun", "hydra.mode=MULTIRUN")
    return any(word in chosen or word.startswith("sweep=") for word in words)


def _word(word: str, literal: frozenset[str], several: bool) -> str:
    override = _OVERRIDE.fullmatch(word)
    if override is None:
        return shown(word)
    key, text = override.groups()
    name = key.lstrip("+").removesuffix("=")
    if name in literal:
        convert = partial(_address, name) if name in ADDRESSES else _path
        if several and _SWEEP.fullmatch(text):
            return word
        parts = _separated(_CHOICE.sub(r"\1", text)) if several else [text]
        if name in ADDRESSES:
            parts = _require_whole_addresses(name, list(parts))
        return key + ",".join(map(convert, parts))
    if "://" not in text or name.startswith(_OF_OTHERS):
        return word
    return key + (text if shown(text) == text else quoted(shown(text)))


def _separated(text: str) -> Iterator[str]:
    """Give the values between commas; one within quotes or an interpolation separates nothing."""
    end = 0
    while part := _PART.match(text, end):
        yield part[1]
        end = part.end()
        if not part[2]:
            return


def _require_whole_addresses(key: str, parts: list[str]) -> list[str]:
    """Refuse pieces of one address: they would show its password."""
    for before, part in pairwise(parts):
        cut = "://" in before and before[0] not in "'\""
        if cut and "@" in part[1:] and "://" not in part:
            raise ConfigError(
                f"{key}: commas separate values in a multirun, and one follows within an address;"
                f" write each address in quotes, as in \"{key}='rtsp://…','rtsp://…'\"."
            )
    return parts


def _path(text: str) -> str:
    path = _from_home(_unquoted(text))
    return _meaning(text, shown(path) if "://" in path else path)


def _address(key: str, text: str) -> str:
    given = _unquoted(text)
    if given.startswith("@"):
        return quoted(put_aside(_first_line(key, Path(os.path.expanduser(given[1:])))))
    if _VARIABLE.search(given) and not _is_interpolation(_VARIABLE.sub("", given)):
        return quoted(put_aside(_VARIABLE.sub(partial(_variable, key), given)))
    if _is_interpolation(given) and "://" in given:
        raise ConfigError(
            f"{key}: an address may contain ${{oc.env:NAME}}, and no other interpolation; write "
            f"the whole address into a file, and set {key}=@FILE."
        )
    return _meaning(text, put_aside(_from_home(given)))


def _from_home(path: str) -> str:
    """Give a path that begins with ``~/`` its folder, as few shells do within a word."""
    return os.path.expanduser(path) if path.startswith("~/") else path


def _meaning(text: str, meant: str) -> str:
    """Quote a value, unless Hydra reads it literally without quotes."""
    if text.lower() in ("", "null"):
        return text
    if meant == MISSING:
        return f"./{MISSING}"
    if _is_interpolation(text):
        return text if _parsed(text) is not None else _in_quotes(text)
    # A backslash at its end would escape the comma before the next value.
    plain = _parsed(text) == meant and not text.endswith("\\")
    return text if plain else quoted(meant)


def _first_line(key: str, path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            line = file.readline().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(
            f"{path}: this cannot be read ({reason}); {key}=@FILE takes the first line of a text "
            f"file, {key}=./@FILE a file whose name begins so."
        ) from None
    if not line:
        raise ConfigError(f"{path}: its first line is empty; write the address there.")
    return line


def _variable(key: str, match: re.Match[str]) -> str:
    name, default = match.groups()
    value = os.environ.get(name, default)
    if value is None:
        raise ConfigError(f"{key}: the environment variable {name} is not set; export it first.")
    return value


@cache
def _parser() -> OverridesParser:
    return OverridesParser.create()


def _parsed(text: str) -> str | None:
    """Read a value as Hydra does; None where that is no text."""
    try:
        value = _parser().parse_override(f"key={text}").value()
    except HydraException:
        return None
    return value if isinstance(value, str) else None


def _unquoted(text: str) -> str:
    value = _parsed(text) if text[:1] in ("'", '"') else None
    return text if value is None else value


def _is_interpolation(text: str) -> bool:
    try:
        return OmegaConf.is_interpolation(OmegaConf.create({"key": text}), "key")
    except OmegaConfBaseException:  # a $ and a brace that mean nothing
        return False


def quoted(text: str) -> str:
    """Quote text so that Hydra and OmegaConf return it unchanged."""
    return _in_quotes(re.sub(r"(\\*)\$\{", lambda match: 2 * match[1] + r"\${", text))


def _in_quotes(text: str) -> str:
    return QuotedString(text, Quote.single).with_quotes()
