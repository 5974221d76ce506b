"""Compare the guard with the trained items: ``python experiments/guard_over_a_day.py RUN DATA``.

RUN is a training on upCam's day, DATA holds upcam/ (normal_later/, hours of the next day, and test/
with labels.csv). Two scorers watch twenty minutes of each of these hours and then the labelled one:
the guard updates the memory of one, and the other keeps the trained items. ``runs.csv`` gets a row
for each scorer and promised rate: ``guard_over_a_day``, ``upcam_ITEMS_RATE``.
"""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from false_alarms import Scored, count, events_found
from record import add

import memguard
from memguard.data.datasets.benchmark import VideoRecord, records
from memguard.data.datasets.folder import folder
from memguard.data.datasets.layout import named_videos
from memguard.data.video.stream import VideoStream
from memguard.detection.alarm import Alarm
from memguard.detection.events import ScoredPicture
from memguard.live.scorer import LiveScorer
from memguard.scoring.metrics import frame_auroc
from memguard.training.provenance import Provenance

HERE = Path(__file__).parent
ITEMS = {"trained": False, "guarded": True}
RATES = (1, 4, 12)  # per hour
FRAMES = 6000  # of each normal hour: twenty minutes


def metrics(
    alarm: Alarm, normal: Sequence[Scored], labelled: Scored, rate: float
) -> dict[str, float]:
    """Compare a promise with what is seen, and normal with anomalous frames."""
    level = alarm.level(rate, labelled.fps)
    errors, labels = torch.from_numpy(labelled.errors), torch.from_numpy(labelled.labels).long()
    found, events = events_found(labelled, alarm.error(level))
    return {
        "alarms/promised_per_hour": rate,
        "alarms/hours": sum(len(video.errors) for video in normal) / labelled.fps / 3600,
        "alarms/seen": count(normal, alarm.error(level)),
        "alarms/level": level,
        "alarms/events_found": found,
        "alarms/events": events,
        "test/auroc": frame_auroc(errors, labels),
    }


def drift(scorer: LiveScorer) -> float:
    """Measure how far the items are from the trained ones: the mean of 1 − cosine."""
    (present,) = scorer.detector.guard.items([0])
    return float(1 - (scorer.detector.memory.items * present).sum(dim=1).mean())


def score(scorer: LiveScorer, video: VideoRecord, scored: int | None = None) -> Scored:
    """Score a video, or its first frames; the memory continues from the video before."""
    began, stream = time.monotonic(), VideoStream(video.source)
    pictures = (each for each in scorer.watch(stream) if isinstance(each, ScoredPicture))
    found = [
        (each.moment.frame, scorer.alarm.error(each.score)) for each in islice(pictures, scored)
    ]
    frames, errors = (np.array(column) for column in zip(*found, strict=True))
    labels = video.labels(stream.length) if video.labels else np.zeros(stream.length, np.uint8)
    minutes = (time.monotonic() - began) / 60
    print(f"{video.name}: {minutes:.1f} minutes, drift {drift(scorer):.2g}", flush=True)
    return Scored(errors, labels[frames], stream.fps, minutes)


def watch(run: Path, data: Path, enabled: bool) -> Iterator[Mapping[str, float]]:
    """Watch the day with one scorer, and yield the metrics of each rate."""
    scorer = memguard.load(run / "checkpoints" / "last.ckpt", guard={"enabled": enabled})
    later = records(named_videos(data / "upcam" / "normal_later"))
    normal = [score(scorer, video, FRAMES) for video in later]
    (labelled,) = (score(scorer, video) for video in folder(data / "upcam").test)
    own = {"memory/drift_mean": drift(scorer)}
    for rate in RATES:
        yield metrics(scorer.alarm, normal, labelled, rate) | own


def main(run: Path, data: Path) -> None:
    """Watch the day twice, and record both."""
    for items, enabled in ITEMS.items():
        provenance = Provenance(seed=0)
        found = list(watch(run, data, enabled))
        finished = provenance.finish()
        for rate, values in zip(RATES, found, strict=True):
            row = {"study": "guard_over_a_day", "run": f"upcam_{items}_{rate:g}"}
            row["command"] = f"python experiments/guard_over_a_day.py {run} DATA"
            row |= {key: finished[key] for key in ("commit", "seed", "machine", "minutes")}
            add(row | {key: f"{value:.7g}" for key, value in values.items()}, HERE / "runs.csv")
            print(row["run"], values, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
