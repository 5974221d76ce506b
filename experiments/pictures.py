"""Picture a run of the demo: ``python experiments/pictures.py RUN VIDEO``.

Of RUN, the folder of ``python -m memguard.train experiment=demo``, its charts and views of its
report go to ``figures/demo_*.png``; of VIDEO, such as the street's test video 04, the timeline, the
frame at the peak of the last event, and this frame above the timeline (``figures/demo.png``). The
report is opened in a headless Chromium.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from itertools import islice
from pathlib import Path

import av
from PIL import Image

FIGURES = Path(__file__).with_name("figures")
CHARTS = ("scores", "worst_frames", "memory")
# Sections of a report and their height, in a window that is as narrow as a page of the site.
VIEWS = {"scores": 700, "alarms": 770, "memory": 650}
WIDTH, SCALE = 760, 1.5
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    f"--force-device-scale-factor={SCALE}",
]  # fmt: skip


def picture_report(run: Path) -> None:
    """Copy the charts of a run and picture the views of its report.

    Args:
        run: A run folder with ``report.html`` and ``figures/``.
    """
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("There is no browser: install Debian's package chromium.")
    for chart in CHARTS:
        shutil.copy(run / "figures" / f"{chart}.png", FIGURES / f"demo_{chart}.png")
    page = (run / "report.html").read_text(encoding="utf-8")
    for view, height in VIEWS.items():
        path = (FIGURES / f"demo_report_{view}.png").resolve()
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            part = Path(folder) / "part.html"
            part.write_text(page.replace("</head>", _alone(view) + "</head>"), encoding="utf-8")
            where = [f"--user-data-dir={folder}", f"--window-size={WIDTH},{height}"]
            command = [browser, *FLAGS, *where, f"--screenshot={path}", part.as_uri()]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


def _alone(view: str) -> str:
    """Style a report so that it shows one section; the page's head stays above the scores."""
    head = "" if view == "scores" else "header, "
    return (
        f"<style>{head}section:not(#{view}) {{ display: none }} h2 {{ margin-top: 1rem }}</style>"
    )


def picture_video(run: Path, video: Path) -> None:
    """Score a video and picture its timeline and its last event.

    Args:
        run: A run folder with ``checkpoints/last.ckpt``.
        video: A video file.
    """
    with tempfile.TemporaryDirectory() as scratch:
        command = [
            sys.executable, "-m", "memguard.score", f"checkpoint={run}/checkpoints/last.ckpt",
            f"video={video}", "annotate=true", f"hydra.run.dir={scratch}",
        ]  # fmt: skip
        subprocess.run(command, check=True)
        found = Path(scratch)
        shutil.copy(found / "timeline.png", FIGURES / "demo_timeline.png")
        events = json.loads((found / "events.json").read_text(encoding="utf-8"))
        with (found / "scores.csv").open(encoding="utf-8") as file:
            first = int(next(islice(file, 1, None)).split(",")[1])
        place = events["events"][-1]["peak_frame"] - first
        with av.open(str(found / "annotated.mp4")) as container:
            frame = next(islice(container.decode(video=0), place, None))
            frame.to_image().save(FIGURES / "demo_annotated.png")
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        join_frame_and_timeline(stream.height / stream.width)


def join_frame_and_timeline(aspect: float) -> None:
    """Put the annotated frame above the timeline, as wide as that: ``figures/demo.png``.

    Args:
        aspect: Height of the video over its width; the annotated frame has its scores below.
    """
    with (
        Image.open(FIGURES / "demo_annotated.png") as annotated,
        Image.open(FIGURES / "demo_timeline.png") as timeline,
    ):
        frame = annotated.convert("RGB").crop(
            (0, 0, annotated.width, round(annotated.width * aspect))
        )
        frame = frame.resize((timeline.width, round(timeline.width * aspect)))
        joined = Image.new("RGB", (timeline.width, frame.height + timeline.height), "white")
        joined.paste(frame)
        joined.paste(timeline.convert("RGB"), (0, frame.height))
        joined.save(FIGURES / "demo.png", optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    FIGURES.mkdir(exist_ok=True)
    picture_report(Path(sys.argv[1]))
    picture_video(Path(sys.argv[1]), Path(sys.argv[2]))
