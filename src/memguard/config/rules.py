"""Rules: the values that each setting can have, and the sentence that refuses others."""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, NamedTuple

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from memguard.config.trust import TARGET
from memguard.errors import ConfigError

LARGEST_SEED = 2**32 - 1  # that NumPy takes
LONGEST_SHOWN = 200  # letters of a value in a sentence


class Kind(NamedTuple):
    """A kind of value.

    Attributes:
        works: Whether a value is one of them.
        wanted: Their description, after "it must be".
    """

    works: Callable[[Any], bool]
    wanted: str


class Rule(NamedTuple):
    """The values of one setting.

    Attributes:
        key: Of the setting.
        kind: Its values.
        optional_group: Whether the rule applies only if the configuration has the setting's group:
            a command can leave out a callback, for example.
    """

    key: str
    kind: Kind
    optional_group: bool = False


def _is_number(value: Any) -> bool:
    # A bool is an int in Python.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def number(low: float, high: float = float("inf"), of: str = "") -> Kind:
    """Allow finite numbers from ``low`` to ``high``.

    >>> number(0, 1).wanted, number(0).works(float("nan")), number(0).works(True)
    ('a number from 0 to 1', False, False)
    """
    span = f" of at least {low:g}" if high == float("inf") else f" from {low:g} to {high:g}"
    return Kind(lambda value: _is_number(value) and low <= value <= high, f"a number{of}{span}")


def above(low: float) -> Kind:
    """Allow finite numbers above ``low``."""
    return Kind(lambda value: _is_number(value) and value > low, f"a number above {low:g}")


def whole(low: int, high: int | None = None) -> Kind:
    """Allow whole numbers from ``low`` to ``high``.

    >>> whole(1).works(1.0), whole(1, 8).wanted
    (False, 'a whole number of at least 1 and at most 8')
    """
    limit = "" if high is None else f" and at most {high}"
    return Kind(
        lambda value: _is_whole(value) and low <= value and (high is None or value <= high),
        f"a whole number of at least {low}{limit}",
    )


def choice(*values: str | int) -> Kind:
    """Allow these values.

    >>> choice("none", "disk", "ram").wanted
    'none, disk or ram'
    """
    *first, last = map(str, values)
    known = [(type(value), value) for value in values]
    return Kind(lambda value: (type(value), value) in known, f"{', '.join(first)} or {last}")


def either(*kinds: Kind) -> Kind:
    """Allow the values of several kinds."""
    return Kind(
        lambda value: any(kind.works(value) for kind in kinds),
        " or ".join(kind.wanted for kind in kinds),
    )


def or_null(kind: Kind) -> Kind:
    """Allow null as well."""
    return Kind(lambda value: value is None or kind.works(value), f"{kind.wanted}, or null")


def described(kind: Kind, wanted: str) -> Kind:
    """Replace the description of a kind."""
    return Kind(kind.works, wanted)


FLAG = Kind(lambda value: isinstance(value, bool), "true or false")
TERM = Kind(lambda value: isinstance(value, DictConfig) and TARGET in value, "a term")
TEXT = Kind(lambda value: isinstance(value, str) and bool(value.strip()), "a text")
PATH = described(TEXT, "a path")


def keep_to(rules: Iterable[Rule], config: DictConfig) -> None:
    """Refuse the first value that its rule does not allow.

    Raises:
        ConfigError: The message names the key, the value and the values that work.
    """
    for rule in rules:
        group = rule.key.rpartition(".")[0]
        if rule.optional_group and not isinstance(_value(config, group), DictConfig):
            continue
        value = _value(config, rule.key)
        if not rule.kind.works(value):
            raise ConfigError(
                f"{rule.key}={shown(value)} cannot work: it must be {rule.kind.wanted}."
            )


def _value(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key)
    except OmegaConfBaseException as error:
        raise ConfigError(f"{key} cannot work: {_first_line(error)}.") from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__


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


def is_patch(value: Any) -> bool:
    """Return whether a value is a height and a width, as shares of the frame's."""
    pair = isinstance(value, ListConfig) and len(value) == 2
    return pair and all(_is_number(share) and 0 < share <= 1 for share in value)


MEMORY_SIZE = "a whole number of at least 2 and at most 1000000, or 0 (none)"

RULES = [
    Rule("memory.size", described(whole(0, 10**6), MEMORY_SIZE)),
    Rule("task.name", choice("pred", "recon"), optional_group=True),
    Rule("task.past", whole(0, 1000), optional_group=True),
    Rule("memory.dim", whole(1, 2**13)),
    Rule("model.width", whole(1, 2**9)),
    *(
        Rule(f"loss.{term}", described(either(number(0), TERM), number(0).wanted))
        for term in ("compactness", "separateness")
    ),
    Rule("loss.margin", number(0)),
    Rule(
        "guard.threshold",
        Kind(
            lambda value: value == "auto" or number(0).works(value),
            "auto or a number of at least 0",
        ),
    ),
    Rule("guard.quantile", number(0, 1)),
    Rule("guard.scope", choice("dataset", "video")),
    Rule("guard.enabled", FLAG),
    Rule("scoring.name", choice("published", "shared_range", "patch")),
    Rule("scoring.weight", number(0, 1)),
    Rule(
        "scoring.patch",
        Kind(is_patch, "[height, width], shares of the picture's above 0 and up to 1"),
    ),
    Rule("scoring.smoothing", number(0, 10**4, of=" of frames")),
    Rule("scoring.causal", FLAG),
    Rule(
        "data.frame_size",
        Kind(
            lambda value: whole(8, 2**12).works(value) and value % 8 == 0,
            "a multiple of 8, in pixels, as the encoder halves it three times",
        ),
    ),
    # Whoever scores a stream has no dataset.
    Rule("dataset.root", PATH, optional_group=True),
    Rule("dataset.labels", or_null(TEXT), optional_group=True),
    Rule("dataset.on_error", choice("raise", "skip"), optional_group=True),
    Rule("dataset.cache", choice("none", "disk", "ram"), optional_group=True),
    Rule("data.channels", Kind(choice(1, 3).works, "1 (grey) or 3 (RGB)")),
    Rule("data.batch_size", whole(1, 2**16)),
    Rule("data.threads", whole(0, 2**10)),
    Rule("data.stretch", or_null(whole(1, 10**6))),  # checkpoints may be older
    Rule(
        "data.holdout",
        Kind(lambda value: number(0, 1).works(value) and value < 1, "a number from 0 to below 1"),
    ),
    Rule("optimizer.lr", above(0)),
    Rule("compile", FLAG),
    Rule("seed", whole(0, LARGEST_SEED)),
]

TRAINING_RULES = [
    Rule("batch_norm", choice("measured", "running")),
    Rule("test", FLAG),
    Rule("checkpoint", or_null(PATH)),
    Rule("weights", or_null(PATH)),
    Rule("optimized_metric", TEXT),
    Rule("paths.cache_dir", PATH),
    Rule("data.seed", whole(0, LARGEST_SEED)),
    Rule("optimizer.fused", or_null(FLAG)),
    Rule("callbacks.checkpoint.every_minutes", number(0, of=" of minutes"), optional_group=True),
    Rule("callbacks.pseudo_auroc.windows", whole(1, 10**6), optional_group=True),
    Rule("callbacks.test_each_epoch.enabled", FLAG, optional_group=True),
    Rule("callbacks.held_out_clips.clips", whole(1, 10**3), optional_group=True),
    Rule("callbacks.memory.figure_every", whole(1), optional_group=True),
    Rule("logger.wandb.settings.init_timeout", above(0), optional_group=True),
    Rule("logger.wandb.settings.finish_timeout", above(0), optional_group=True),
    Rule(
        "logger.wandb.mode",
        choice("online", "offline", "disabled", "shared", "dryrun", "run"),
        optional_group=True,
    ),
]

EVALUATION_RULES = [
    Rule("checkpoint", or_null(PATH)),
    Rule("baseline", or_null(choice("previous_frame", "frame_difference"))),
    Rule("optimized_metric", TEXT),
    Rule("paths.cache_dir", PATH),
]

SCORE_RULES = [
    Rule("checkpoint", PATH),
    Rule("alarm.false_per_hour", above(0)),
    Rule("annotate", FLAG),
    Rule("paths.cache_dir", PATH),
]

PREPARE_RULES = [
    Rule("dataset.root", PATH),
    Rule("download", FLAG),
    Rule("window", whole(1, 10**4)),
    Rule("paths.cache_dir", PATH),
]
