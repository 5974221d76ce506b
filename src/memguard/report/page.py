"""The report of a run: one HTML file that needs no other file and no network."""

from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader

from memguard.files import written_whole
from memguard.report.plots.alarms import alarms
from memguard.report.plots.curves import curve_lines, score_curves
from memguard.report.plots.memory import item_galleries, item_plane
from memguard.report.plots.scores import score_chart
from memguard.report.tested import VIDEO_COLUMNS, FinishedTest, VideoScores
from memguard.scoring.protocols import MEANINGS, ScoreConfig


def write_report(
    path: Path,
    *,
    title: str,
    metrics: dict[str, float],
    config: str,
    provenance: dict[str, Any],
    tested: FinishedTest | None,
) -> None:
    """Write the report of a run.

    Args:
        path: The HTML file.
        title: The heading.
        metrics: The content of ``metrics.json``.
        config: The composed configuration as YAML.
        provenance: The content of ``provenance.json``.
        tested: The test; None where there is nothing to test on.
    """
    environment = Environment(
        loader=PackageLoader("memguard.report", "template"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html").render(
        title=title,
        metrics=metrics,
        config=config,
        provenance=provenance,
        test=_sections(tested) if tested else None,
    )
    with written_whole(path) as unfinished:
        unfinished.write_text(page, encoding="utf-8")


def _sections(test: FinishedTest) -> dict[str, Any]:
    """Collect all that the template shows of a test."""
    videos = [_video(test, number, video) for number, video in test.videos.items()]
    return {
        "top": test.top,
        "scoring": test.scoring.name,
        "score_of_distance": _uses_distance(test.scoring),
        "expected": "prediction" if test.recorder.predicts else "reconstruction",
        "labelled": any(video.labelled for video in test.videos.values()),
        "videos": videos,
        "hover": {str(video["number"]): video.pop("hover") for video in videos},
        "protocols": _protocols(test),
        "curves": _curves(test),
        "alarms": list(alarms(test)),
        "memory": _memory(test),
    }


def _uses_distance(scoring: ScoreConfig) -> bool:
    return scoring.name != "patch" and scoring.weight < 1


def _video(test: FinishedTest, number: int, video: VideoScores) -> dict[str, Any]:
    """Describe a video: its row of the table, its chart, and the data for pointing at it."""
    chart = score_chart(video, test.top)
    return {
        "number": number,
        "row": dict(zip(VIDEO_COLUMNS, video.row(), strict=True)),
        "peak_label": int(video.label[video.peak]),
        "chart": chart,
        "hover": {
            "first": chart["first"],
            "fps": test.fps.get(number),
            "scores": [float(f"{value:.3g}") for value in video.score],
            "truth": chart["truth"] if video.labelled else None,
            "updates": chart["updates"],
            "pictures": test.recorder.thumbnails.of_video(number),
        },
    }


def _protocols(test: FinishedTest) -> list[dict[str, Any]]:
    """List each score with its AUROC, the published one first; none without both classes."""
    table = test.protocol_table()
    return [
        {
            **row,
            "meaning": MEANINGS.get(str(row["score"]), "a score of your own"),
            "own": row["score"] == test.scoring.name,
        }
        for row in table or ()
        if row["auroc"] is not None
    ]


def _curves(test: FinishedTest) -> dict[str, Any] | None:
    curves = score_curves(test.frames, test.scoring)
    return {"positive": test.anomalous_share, **curve_lines(curves)} if curves else None


def _memory(test: FinishedTest) -> dict[str, Any] | None:
    use = test.recorder.memory
    if use is None:
        return None
    rows = np.flatnonzero(test.recorder.items.any(axis=1))  # a row of zeros is no item
    galleries = item_galleries(use, rows, test)
    shown = np.array([item["number"] for item in galleries])
    return {
        "count": len(rows),
        "items": galleries,
        "shape": next(iter(test.recorder.sizes.values())),
        "plane": item_plane(use, shown, test.recorder.items),
    }
