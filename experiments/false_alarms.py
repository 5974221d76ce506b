"""Count false alarms beside their promise: ``python experiments/false_alarms.py DATA [RUNS]``.

DATA holds upcam/ (train/, test/, labels.csv and normal_later/, hours of the next day), ped1/ and
ped2/.
For each of these cameras a small network is trained on a part of the normal video. Two other parts,
unseen in training, take turns: the alarm is calibrated on one, and false alarms are counted on the
other, beside those of the alarm that comes with the training.

Trainings and scores stay in RUNS (``runs/false_alarms``): a second call trains and scores only what
is missing. ``runs.csv`` gets a row for each alarm, counted part and promised rate.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from record import add

import memguard
from memguard.data.datasets.benchmark import VideoRecord, records
from memguard.data.datasets.folder import folder
from memguard.data.datasets.layout import named_videos
from memguard.data.datasets.ucsd import ped2
from memguard.data.video.frame_folders import as_video
from memguard.data.video.stream import VideoStream
from memguard.detection.alarm import Alarm
from memguard.detection.events import EventStream, Moment, ScoredPicture
from memguard.live.scorer import LiveScorer

STUDY = "false_alarms"
HERE = Path(__file__).parent
LONGEST = 600.0  # seconds of an event, as events.longest has it


class Camera(NamedTuple):
    """A camera with its normal video, and what to promise.

    Attributes:
        name: Of its runs.
        training: The videos that the network is trained on.
        parts: Two parts of other normal video, each calibrated on and counted in its turn.
        labelled: Videos with labels, in which events are found.
        rates: The promised false alarms per hour.
        options: Of the training.
    """

    name: str
    training: Sequence[VideoRecord]
    parts: tuple[Sequence[VideoRecord], Sequence[VideoRecord]]
    labelled: Sequence[VideoRecord]
    rates: Sequence[float]
    options: Sequence[str] = ()


class Scored(NamedTuple):
    """The live scores of a video.

    Attributes:
        errors: (frames,), the smoothed error of each frame's worst patch.
        labels: (frames,), 1 = anomalous; 0 in normal video.
        fps: Frames per second.
        minutes: The time that scoring took.
    """

    errors: np.ndarray
    labels: np.ndarray
    fps: float
    minutes: float


def cameras(data: Path) -> Iterator[Camera]:
    """Find the cameras of the study; every second hour or third video is a part."""
    upcam = folder(data / "upcam")
    later = records(named_videos(data / "upcam" / "normal_later"))
    yield Camera(
        "upcam", upcam.train, (later[::2], later[1::2]), upcam.test, (0.5, 1, 4, 12),
        ("trainer.max_epochs=2", "trainer.limit_train_batches=1500"),
    )  # fmt: skip
    for name, videos in (
        ("ped1", folder(data / "ped1").train),
        ("ped2", ped2(data / "ped2").train),
    ):
        parts = videos[1::3], videos[2::3]
        yield Camera(name, videos[::3], parts, (), (60, 120), ("trainer.max_epochs=5",))


def trained(camera: Camera, run: Path) -> Path:
    """Train a small network on a camera's videos, unless that is done; return its checkpoint."""
    if not (run / "metrics.json").is_file():
        videos = run.with_name(f"{run.name}_videos")
        (videos / "train").mkdir(parents=True, exist_ok=True)
        for video in camera.training:
            link = videos / "train" / f"{video.name}{video.source.suffix}"
            if not link.is_symlink():
                link.symlink_to(video.source.resolve())
        options = (
            "dataset=folder", f"dataset.root={videos}", "model=mnad_tiny", "seed=0", "test=false",
            "logger=none", f"hydra.run.dir={run}", *camera.options,
        )  # fmt: skip
        if subprocess.run([sys.executable, "-m", "memguard.train", *options]).returncode:
            sys.exit(f"The training of {camera.name} has failed.")
    return run / "checkpoints" / "last.ckpt"


def scored(checkpoint: Path, videos: Sequence[VideoRecord], store: Path) -> list[Scored]:
    """Score videos as a live camera is scored, each from the trained items, unless that is done.

    Args:
        checkpoint: A trained detector.
        videos: Whole videos; frames without a past have no score.
        store: A folder for a file of scores per video.
    """
    store.mkdir(parents=True, exist_ok=True)
    scorer = memguard.load(checkpoint, guard={"scope": "video"})
    for video in videos:
        if not (store / f"{video.name}.npz").is_file():
            scores = score(scorer, video, as_video(video.source, store))
            np.savez(store / f"{video.name}.npz", **scores._asdict())
            print(f"{video.name}: {scores.minutes:.2f} minutes", flush=True)
    found = []
    for video in videos:
        with np.load(store / f"{video.name}.npz") as stored:
            found.append(Scored(**{name: stored[name] for name in Scored._fields}))
    return found


def score(scorer: LiveScorer, video: VideoRecord, file: Path) -> Scored:
    """Score a video from its file."""
    began, stream = time.monotonic(), VideoStream(file)
    errors = [
        scorer.alarm.error(each.score)
        for each in scorer.watch(stream)
        if isinstance(each, ScoredPicture)
    ]
    frames = stream.length
    labels = video.labels(frames) if video.labels else np.zeros(frames, np.uint8)
    minutes = (time.monotonic() - began) / 60
    return Scored(np.array(errors), labels[-len(errors) :], stream.fps, minutes)


def calibrated(videos: Sequence[Scored]) -> Alarm:
    """Calibrate an alarm on normal video, as ``memguard.calibrate`` does."""
    alarm = Alarm()
    alarm.calibrate([torch.from_numpy(video.errors).float() for video in videos])
    return alarm


def count(videos: Sequence[Scored], level: float) -> int:
    """Count the events of videos above a level, as they are reported."""
    number = 0
    for video in videos:
        stream = EventStream(level, LONGEST)
        moments = (Moment(frame, frame / video.fps) for frame in range(len(video.errors)))
        ended = [stream.add(*each) for each in zip(moments, video.errors.tolist(), strict=True)]
        number += sum(event is not None for event in (*ended, stream.finish()))
    return number


def events_found(video: Scored, level: float) -> tuple[int, int]:
    """Count the labelled events with a frame above a level, and all of them."""
    begins = np.diff(video.labels.astype(int), prepend=0) == 1
    event = np.where(video.labels == 1, np.cumsum(begins), 0)
    return len(set(event[video.errors > level]) - {0}), int(begins.sum())


def metrics(
    alarm: Alarm, counted: Sequence[Scored], labelled: Sequence[Scored], per_hour: float
) -> dict[str, float]:
    """Compare a promise with what is seen.

    Args:
        alarm: Calibrated.
        counted: Normal video that the alarm does not know.
        labelled: Videos with events.
        per_hour: Promised false alarms.
    """
    fps = counted[0].fps
    level, low, high = alarm.level_with_interval(per_hour, fps)
    row = {
        "alarms/promised_per_hour": per_hour,
        "alarms/hours": sum(len(video.errors) for video in counted) / fps / 3600,
        "alarms/seen": count(counted, alarm.error(level)),
        "alarms/seen_at_low": count(counted, alarm.error(low)),
        "alarms/seen_at_high": count(counted, alarm.error(high)),
        "alarms/level": level,
        "alarms/level_low": low,
        "alarms/level_high": high,
        "alarms/normal_hours": alarm.hours(fps),
        "alarms/normal_peaks": alarm.sample_counts[1],
    }
    if labelled:
        events = np.array([events_found(video, alarm.error(level)) for video in labelled])
        row["alarms/events_found"], row["alarms/events"] = events.sum(axis=0).tolist()
    return row


def study(camera: Camera, runs: Path) -> None:
    """Train, score, count, and record a camera's rows."""
    run, store = runs / camera.name, runs / f"{camera.name}_scores"
    checkpoint = trained(camera, run)
    first, second, labelled = (
        scored(checkpoint, videos, store) for videos in (*camera.parts, camera.labelled)
    )
    provenance = json.loads((run / "provenance.json").read_text(encoding="utf-8"))
    minutes = sum(float(video.minutes) for video in (*first, *second, *labelled))
    row = {"study": STUDY, "command": f"python experiments/{Path(__file__).name} DATA"}
    row |= {key: provenance[key] for key in ("commit", "seed", "machine")}
    row["minutes"] = round(provenance["minutes"] + minutes, 2)
    for part, normal, counted in (("first", second, first), ("second", first, second)):
        alarms = {"trained": memguard.load(checkpoint).alarm, "calibrated": calibrated(normal)}
        for (kind, alarm), rate in product(alarms.items(), camera.rates):
            row["run"] = f"{camera.name}_{kind}_{part}_{rate:g}"
            values = metrics(alarm, counted, labelled, rate)
            add(row | {key: f"{value:.7g}" for key, value in values.items()}, HERE / "runs.csv")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    for camera in cameras(Path(sys.argv[1])):
        study(camera, Path(*sys.argv[2:] or ["runs/false_alarms"]))
