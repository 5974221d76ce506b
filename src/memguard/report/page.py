"""The report of a run: one HTML file that shows everything and needs nothing else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader
from torch import Tensor

from memguard.report.curves import curves, video_auroc
from memguard.report.item_usage import ItemUse, far_region, flatten_to_plane
from memguard.report.pictures import heat, photograph
from memguard.report.plots import error_map, stretches
from memguard.report.recorder import Evidence, Suspect
from memguard.scoring.functional import patch_box
from memguard.scoring.protocols import Scoring, highest_shown

ALARMS = 12
# A line has no more corners than a wide screen has pixels to show them.
LINE_POINTS = 1500
CURVE_POINTS = 200

PROTOCOLS = {
    "published": "PSNR and distance, each min–max normalised over its video: the paper's",
    "shared_range": "as published, but the distance normalised by one range for all videos",
    "unnormalised": "PSNR and distance, normalised over the whole set and not each video",
    "smoothed": "as published, then smoothed over time",
    "psnr": "PSNR alone, normalised over its video",
    "distance": "distance alone, normalised over its video",
    "patch": "the patch with the largest error, not normalised",
    "patch_normalised": "the patch with the largest error, normalised over its video",
    "patch_psnr": "the mean of worst patch and PSNR, then smoothed over time",
}


@dataclass(frozen=True)
class FinishedTest:
    """A finished test.

    Attributes:
        frames: Columns as :class:`memguard.detection.frame_scorer.FrameScorer` has them.
        names: Of the videos, by their numbers.
        scoring: How the scores were made.
        frame_shape: Height and width of the tested frames in pixels.
        evidence: What was kept while it ran.
        fps: Frames per second of each video, where there is a clock.
    """

    frames: dict[str, Tensor]
    names: Sequence[str]
    scoring: Scoring
    frame_shape: tuple[int, int]
    evidence: Evidence
    fps: dict[int, float | None]


def write_report(
    path: Path,
    *,
    title: str,
    metrics: dict[str, float],
    config: str,
    provenance: dict[str, Any],
    tested: FinishedTest | None,
) -> None:
    """Write a run's report.

    Args:
        path: Of the HTML file.
        title: What was run.
        metrics: As ``metrics.json`` has them.
        config: The composed configuration as YAML.
        provenance: As ``provenance.json`` has it.
        tested: The test; None where there was nothing to test on.
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
        test=_test(tested, metrics) if tested else None,
    )
    path.write_text(page, encoding="utf-8")


def _test(tested: FinishedTest, metrics: dict[str, float]) -> dict[str, Any]:
    """Everything that the page says of a test."""
    columns = {name: column.cpu().numpy() for name, column in tested.frames.items()}
    top = highest_shown(tested.frames, tested.scoring)
    videos = [_video(tested, columns, number, top) for number in _numbers(columns)]
    memory = tested.evidence.memory
    return {
        "protocols": _protocols(metrics, tested.scoring.name),
        "top": top,
        "scoring": tested.scoring.name,
        "labelled": bool((columns["label"] >= 0).any()),
        "videos": videos,
        "hover": {str(video["number"]): video.pop("hover") for video in videos},
        "curves": _curves(tested),
        "alarms": list(_alarms(tested, columns)),
        "expected": "prediction" if tested.evidence.predicts else "reconstruction",
        "score_of_distance": _uses_distance(tested.scoring),
        "memory": _memory(memory, tested) if memory else None,
        "thumbnail_step": tested.evidence.thumbnails.step,
    }


def _numbers(columns: dict[str, np.ndarray]) -> list[int]:
    return [int(number) for number in np.unique(columns["video"])]


def _protocols(metrics: dict[str, float], own: str) -> list[dict[str, Any]]:
    """A row for each score that was counted, the published one first."""
    rows = []
    for name, meaning in PROTOCOLS.items():
        key = "test/auroc" if name == own else f"test/auroc_{name}"
        if key in metrics:
            rows.append(
                {"name": name, "meaning": meaning, "auroc": metrics[key], "own": name == own}
            )
    return rows


def _video(
    tested: FinishedTest, columns: dict[str, np.ndarray], number: int, top: float
) -> dict[str, Any]:
    """A video's row in the table and its chart."""
    rows = columns["video"] == number
    frame, score, label = (columns[name][rows] for name in ("frame", "score", "label"))
    frame, written = frame.astype(int), columns["written"][rows].astype(bool)
    truth, writes = (_runs(mask, int(frame[0])) for mask in (label == 1, written))
    peak = int(score.argmax())
    line = zip(*thinned(frame, 100 * (1 - score / top), LINE_POINTS), strict=True)
    return {
        "number": number,
        "name": tested.names[number],
        "frames": len(frame),
        "first": int(frame[0]),
        "last": int(frame[-1]),
        "anomalous": int((label == 1).sum()) if (label >= 0).any() else None,
        "auroc": video_auroc(score, label),
        "peak": int(frame[peak]),
        "peak_score": float(score[peak]),
        "peak_label": int(label[peak]),
        "written": int(written.sum()),
        "line": " ".join(f"{x},{y:.1f}" for x, y in line),
        "truth": truth,
        "writes": writes,
        "hover": {
            "first": int(frame[0]),
            "fps": tested.fps.get(number),
            "scores": [float(f"{value:.3g}") for value in score],
            "truth": truth if (label >= 0).any() else None,
            "writes": writes,
            "pictures": tested.evidence.thumbnails.of_video(number),
        },
    }


def _runs(mask: np.ndarray, first: int) -> list[tuple[int, int]]:
    """The first frame of each run of true values, and how long it is, as the page draws it."""
    return [(first + start, stop - start) for start, stop in stretches(mask)]


def thinned(x: np.ndarray, y: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Leave out points of a line that cannot be seen, but no peak and no dip.

    Example:
        >>> thinned(np.arange(8), np.array([0, 0, 9, 0, 0, 0, 0, -5]), 4)
        (array([0, 2, 4, 7]), array([ 0,  9,  0, -5]))
    """
    if len(x) <= points:
        return x, y
    parts = np.array_split(np.arange(len(x)), max(points // 2, 1))
    kept = sorted({int(part[pick(y[part])]) for part in parts for pick in (np.argmin, np.argmax)})
    return x[kept], y[kept]


def _curves(tested: FinishedTest) -> dict[str, Any] | None:
    """ROC and precision against recall, as lines."""
    found = list(curves(tested.frames, tested.scoring))
    if not found:
        return None
    label = tested.frames["label"]
    return {
        "positive": float((label == 1).sum() / (label >= 0).sum()),
        "roc": [_curve(c.name, c.false_rate, c.true_rate, c.area) for c in found],
        "pr": [_curve(c.name, c.recall, c.precision, c.average_precision) for c in found],
    }


def _curve(name: str, x: np.ndarray, y: np.ndarray, area: float) -> dict[str, Any]:
    return {"name": name, "line": _points(x, y), "area": area}


def _points(x: np.ndarray, y: np.ndarray) -> str:
    """A line within a square of 100, as SVG has it."""
    kept = np.unique(np.linspace(0, len(x) - 1, CURVE_POINTS).round().astype(int))
    pairs = zip((100 * x[kept]).tolist(), (100 - 100 * y[kept]).tolist(), strict=True)
    return " ".join(f"{a:.2f},{b:.2f}" for a, b in pairs)


class _Alarm(NamedTuple):
    """A suspect, its video's number, and its row among all frames."""

    suspect: Suspect
    video: int
    row: int


def _alarms(tested: FinishedTest, columns: dict[str, np.ndarray]) -> Iterator[dict[str, Any]]:
    """The suspects with the highest score of their video, highest first."""
    score = columns["score"]
    highest = [_highest(tested.evidence, columns, number) for number in _numbers(columns)]
    highest.sort(key=lambda alarm: score[alarm.row], reverse=True)
    shown = highest[:ALARMS]
    errors = [error_map(suspect.target, suspect.output) for suspect, _, _ in shown]
    largest = max((float(error.max()) for error in errors), default=1.0)
    for (suspect, number, row), error in zip(shown, errors, strict=True):
        size = tested.evidence.sizes[number]
        place = int(columns["patch_row"][row]), int(columns["patch_column"][row])
        yield {
            "name": tested.names[number],
            "frame": suspect.frame,
            "score": float(score[row]),
            "psnr": suspect.psnr,
            "label": int(columns["label"][row]),
            "size": size,
            "box": _shares(*place, tested),
            "target": photograph(suspect.target, size),
            "output": photograph(suspect.output, size),
            "error": heat(error, largest),
            "memory": _far(suspect, tested.evidence.memory),
        }


def _highest(evidence: Evidence, columns: dict[str, np.ndarray], number: int) -> _Alarm:
    """Find the suspect of a video with the highest score."""
    rows = np.flatnonzero(columns["video"] == number)
    row_of = dict(zip(columns["frame"][rows].astype(int).tolist(), rows.tolist(), strict=True))
    found = [_Alarm(s, number, row_of[s.frame]) for s in evidence.suspects(number)]
    return max(found, key=lambda alarm: columns["score"][alarm.row])


def _uses_distance(scoring: Scoring) -> bool:
    """Whether the distance to the memory is a part of the score."""
    return scoring.name != "patch" and scoring.weight < 1


def _shares(row: int, column: int, tested: FinishedTest) -> dict[str, float]:
    """Where a patch lies, in percent of the picture's width and height."""
    height, width = tested.frame_shape
    left, top, right, bottom = patch_box(
        row, column, tested.scoring.patch, tested.frame_shape, tested.frame_shape
    )
    return {
        "x": 100 * left / width,
        "y": 100 * top / height,
        "width": 100 * (right - left) / width,
        "height": 100 * (bottom - top) / height,
    }


def _far(suspect: Suspect, memory: ItemUse | None) -> dict[str, Any] | None:
    """Which part of an alarm's frame is far from every item, and how far."""
    if suspect.similarity is None or memory is None:
        return None
    usual = memory.usual_distance
    excess = np.maximum(1 - suspect.similarity.max(axis=-1) - usual, 0)
    region = far_region(suspect.similarity, usual)
    rows, columns = np.flatnonzero(region.mask.any(axis=1)), np.flatnonzero(region.mask.any(axis=0))
    height, width = region.mask.shape
    return {
        "map": heat(excess, float(excess.max())),
        "box": {
            "x": 100 * columns[0] / width,
            "y": 100 * rows[0] / height,
            "width": 100 * (columns[-1] + 1 - columns[0]) / width,
            "height": 100 * (rows[-1] + 1 - rows[0]) / height,
        },
        "distance": region.distance,
        "usual": float(usual[region.mask].mean()),
        "item": region.item,
        "patches": [photograph(patch.picture) for patch in memory.gallery(region.item)[:3]],
    }


def _memory(memory: ItemUse, tested: FinishedTest) -> dict[str, Any]:
    """Each item's share, map and gallery, the most used first, and all of them on a plane."""
    share, counts = memory.share, memory.counts.numpy() / memory.frames
    order = np.argsort(-share, kind="stable")
    shape = next(iter(tested.evidence.sizes.values()))
    # A patch is cut from the last frame that the encoder saw.
    before = 1 if tested.evidence.predicts else 0
    items = [
        {
            "number": int(item),
            "share": float(share[item]),
            "map": heat(counts[item], 1.0),
            "patches": [
                {
                    "picture": photograph(patch.picture),
                    "where": f"video {tested.names[patch.video]}, frame {patch.frame - before}",
                    "similarity": patch.similarity,
                    "own": patch.own,
                }
                for patch in memory.gallery(int(item))
            ],
        }
        for item in order
    ]
    return {"items": items, "shape": shape, "plane": _plane(memory, tested.evidence.items)}


def _plane(memory: ItemUse, items: np.ndarray) -> dict[str, Any]:
    """Queries and items laid out on a plane, in a square of 100."""
    queries, nearest = memory.sample()
    places, way = flatten_to_plane(np.concatenate([queries, items]))
    x, y = (100 * places.T).round(1).tolist()
    count = len(queries)
    return {
        "way": way,
        "queries": list(zip(x, y, nearest.tolist(), strict=False)),
        "items": list(zip(x[count:], y[count:], strict=True)),
    }
