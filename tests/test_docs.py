"""The pages: their links, and the site that is built of them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import memguard
from memguard.config.schema import (
    CalibrationSettings,
    EvaluationSettings,
    ExportSettings,
    PrepareSettings,
    ScoreSettings,
    TrainingSettings,
    WatchSettings,
    keys_of,
)
from memguard.config.trainer import option_names

COMMANDS = (
    TrainingSettings, EvaluationSettings, ScoreSettings, CalibrationSettings, WatchSettings,
    ExportSettings,
    PrepareSettings,
)  # fmt: skip
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


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\((?!https?://|#)([^)#]+)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link


# A user's own class takes keys of its own, and a loss has terms of any name.
OWN_KEYS = {
    "memory.share", "loss.gradient_difference.weight", "loss.ms_ssim.scales",
    "callbacks.pruning.pruner",
}  # fmt: skip


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_settings_that_a_page_names_are_there(path: Path) -> None:
    known = {key for settings in COMMANDS for key in keys_of(settings)}
    known |= {f"trainer.{name}" for name in option_names()} | OWN_KEYS
    groups = "|".join({key.partition(".")[0] for key in known if "." in key})
    named = re.findall(
        rf"(?<![\w./-])((?:{groups})(?:\.[a-z_]+)+)(?==|`)", path.read_text(encoding="utf-8")
    )
    others = (".pth", ".py", ".json", ".jsonl", ".csv", "._target_")
    files_and_classes = {name for name in named if name.endswith(others)}
    assert set(named) - files_and_classes <= known


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_pages_of_the_site_load_nothing_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert {"index.html", "extend.html", "studies.html", "01_quickstart.html"} <= {
        page.name for page in pages
    }
    loading = re.compile(
        r"""<(?:script|img|iframe|source)\b[^>]*\bsrc=["']?(?:https?:)?//[^>]*>"""
        r"""|<link\b(?![^>]*rel=["']?canonical)[^>]*\bhref=["']?(?:https?:)?//[^>]*>"""
    )
    for page in pages:
        assert loading.findall(page.read_text(encoding="utf-8")) == [], page.name
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//", sheet.read_text(encoding="utf-8"))


def test_each_setting_has_its_row(site: Path) -> None:
    page = (site / "settings.html").read_text(encoding="utf-8")
    rows = set(re.findall(r"<td><code>([\w.]+)</code></td>\s*<td>\S", page))
    keys = {key for settings in COMMANDS for key in keys_of(settings)}
    assert len(rows) > 80
    assert rows <= keys
    followers = {"data.past", "model.features", "paths.run_dir"}
    assert followers <= keys - rows
    assert {"memory.size", "trainer.max_epochs", "alarm.false_per_hour", "window"} <= rows


def test_equations_are_mathml(site: Path) -> None:
    page = (site / "method.html").read_text(encoding="utf-8")
    assert page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"') >= 9
    assert "$`" not in page
    assert "@equation" not in page


def test_the_api_page_has_every_public_name(site: Path) -> None:
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    introduction = text.split("\n\n")[1]
    assert sorted(re.findall(r"`(\w+)`", introduction)) == sorted(memguard.__all__)
    page = (site / "api.html").read_text(encoding="utf-8")
    for name in memguard.__all__:
        assert re.search(rf'<h3 id="memguard\.[\w.]*\b{name}"', page), name


def test_docstrings_are_read_as_meant(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    assert page.count("Examples:") >= 8
    text = re.sub(r"<details.*?</details>", "", page, flags=re.DOTALL)  # of the source code
    assert not re.search(r":(?:class|func|meth|data):|Example:", text)


def test_notebooks_are_shown_with_their_outputs(site: Path) -> None:
    page = (site / "notebooks" / "02_inside_the_memory.html").read_text(encoding="utf-8")
    assert page.count('src="data:image/png;base64,') == 3
