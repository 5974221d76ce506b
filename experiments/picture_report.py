"""Picture a run's report: ``python experiments/picture_report.py RUN_FOLDER STUDY_FOLDER NAME``.

Opens the run's ``report.html`` in a headless Chromium and writes what it shows of the scores and of
the memory to ``figures/NAME_report_*.png`` of the study.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# What to show, and how many pixels of it.
VIEWS = {"scores": 825, "alarms": 720, "memory": 660}
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


def picture(run: Path, study: Path, name: str) -> None:
    """Write the pictures of one run.

    Args:
        run: A run folder with ``report.html``.
        study: Where ``figures/`` is.
        name: Of the run in the study, such as ``demo``.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("There is no browser: install Debian's package chromium.")
    page = (run / "report.html").read_text(encoding="utf-8")
    for view, height in VIEWS.items():
        path = (study / "figures" / f"{name}_report_{view}.png").resolve()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            part = Path(folder) / "part.html"
            part.write_text(page.replace("</head>", _alone(view) + "</head>"), encoding="utf-8")
            where = [f"--user-data-dir={folder}", f"--window-size=1280,{height}"]
            command = [browser, *FLAGS, *where, f"--screenshot={path}", part.as_uri()]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def _alone(view: str) -> str:
    """A style that hides all other sections; the scores come with the page's head."""
    head = "" if view == "scores" else "header, "
    return (
        f"<style>{head}section:not(#{view}) {{ display: none }} h2 {{ margin-top: 1rem }}</style>"
    )


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    picture(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
