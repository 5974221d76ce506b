"""Pages and code use the words of the field."""

import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "examples" / "my_project" / "README.md",
        ROOT / "experiments" / "README.md",
        *ROOT.glob("docs/*.md"),
    ]
)
# The table of earlier classes, and the list below.
EXEMPT = {ROOT / "src/memguard/training/moved.py", Path(__file__)}
CODE = sorted(
    path
    for folder in ("src", "conf", "tests", "examples", "experiments", "docs", "notebooks")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".py", ".yaml", ".html", ".css", ".js", ".ipynb") and path not in EXEMPT
)
CODE.append(ROOT / "experiments" / "benchmarks" / "README.md")

# Words that the field does not use for it.
NOT_OUR_WORDS = [
    r"(?:re)?paint\w*", r"asked", r"told", r"tells? \w+ (?:\w+ )?apart", r"stretched", r"by heart",
    r"written frames?", r"frames? written", r"anew", r"made again", r"(?:go(?:es|ing|ne)?|went) on",
    r"evidence", r"suspects?", r"findings?", r"steady", r"foreign", r"(?:is|are|was|were) worth",
    r"what stands", r"falls? short", r"so that nothing",
]  # fmt: skip
# In code these are also names, of callbacks, of files and of layers.
NOT_ON_PAGES = [*NOT_OUR_WORDS, r"board", r"kept", r"monitors", r"safety", r"(?<!batch )norm"]


def found(words: list[str], text: str) -> list[str]:
    """Find words of a list in a text."""
    pattern = re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    return [match[0] for match in pattern.finditer(" ".join(text.split()))]


def clumsy(text: str) -> bool:
    """Return whether a sentence that is no question begins with "What"."""
    return re.search(r"(?:^|[.!?:] )What\b[^?.]*\.", " ".join(text.split())) is not None


def prose(path: Path) -> str:
    """Read a page without code, targets of links and names of settings."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)
    return re.sub(r"\]\([^)]*\)", "]", re.sub(r"`[^`]*`", "``", text))


def texts(path: Path) -> Iterator[str]:
    """Yield the texts of a file: of code the parts of names, and strings and comments whole."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        yield from ("".join(cell["source"]) for cell in json.loads(text)["cells"])
    elif path.suffix == ".yaml":
        yield from (line.lstrip(" #") for line in text.splitlines())
    elif path.suffix == ".py":
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME:
                yield from token.string.split("_")
            else:
                yield token.string.strip("#\"' \n")
    else:
        yield text


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_pages_use_the_words_of_the_field(path: Path) -> None:
    text = prose(path)
    assert found(NOT_ON_PAGES, text) == []
    assert not clumsy(text)
    assert not re.search(r", (?:as it|of which)\b", " ".join(text.split()))


@pytest.mark.parametrize("path", CODE, ids=name)
def test_code_uses_the_words_of_the_field(path: Path) -> None:
    for text in texts(path):
        assert found(NOT_OUR_WORDS, text) == [], text
        assert not clumsy(text), text
