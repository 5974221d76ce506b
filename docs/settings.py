"""A hook of the site: the tables of settings, from the models that check them."""

from collections.abc import Iterator
from typing import Any

from mkdocs.structure.pages import Page

from memguard.config.schema import (
    CalibrationSettings,
    EvaluationSettings,
    ExportSettings,
    PrepareSettings,
    ScoreSettings,
    TrainingSettings,
    WatchSettings,
)
from memguard.config.sentences import wanted
from memguard.config.values import Settings, group_of

HEAD = "| key | value | meaning |\n|---|---|---|\n"
COMMANDS = {
    "A training": TrainingSettings,
    "An evaluation": EvaluationSettings,
    "Scoring": ScoreSettings,
    "A calibration": CalibrationSettings,
    "An export": ExportSettings,
    "Watching": WatchSettings,
    "A preparation": PrepareSettings,
}


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Add the tables to their page."""
    return f"{markdown}\n{tables()}" if page.file.src_uri == "settings.md" else markdown


def tables() -> str:
    """Write a table for each command's own settings and for each group of a training."""
    seen: set[str] = set()
    text = ""
    for title, settings in COMMANDS.items():
        for key, group in groups(settings, ""):
            rows = [row for name, row in described(group, key) if name not in seen]
            seen |= {name for name, _ in described(group, key)}
            heading = f"## {title}" if key == "" else f"### `{key}`\n\n{group.__doc__}"
            text += f"\n{heading}\n\n{HEAD}{''.join(rows)}" if rows else ""
    return text


def groups(settings: type[Settings], key: str) -> Iterator[tuple[str, type[Settings]]]:
    """Yield a model and those within it, each with its key."""
    yield key, settings
    for name, field in settings.model_fields.items():
        if group := group_of(field):
            yield from groups(group, f"{key}.{name}" if key else name)


def described(settings: type[Settings], group: str) -> Iterator[tuple[str, str]]:
    """Yield the row of each key whose values do not follow another one."""
    values = settings.model_json_schema()["properties"]
    for name, field in settings.model_fields.items():
        key = f"{group}.{name}" if group else name
        if group_of(field) is None and field.annotation is not Any:
            yield key, f"| `{key}` | {wanted(values[name])} | {field.description} |\n"
