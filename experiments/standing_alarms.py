"""Count false alarms of things that stand: ``python experiments/standing_alarms.py DATA``.

DATA holds upcam/normal_later/, hours of an indoor camera. Its even and odd hours take turns: the
alarm of ``standing=true`` is calibrated on one half as ``memguard.calibrate`` does it, and events
are counted on the other as ``memguard.score`` reports them. No network is needed. ``runs.csv`` gets
a row for each half and promised rate: ``standing_alarms``, ``upcam_HALF_RATE``.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from record import add
from torch import Tensor

from memguard.data.datasets.layout import named_videos
from memguard.data.video.reader import fit
from memguard.data.video.stream import VideoStream
from memguard.detection.alarm import Alarm
from memguard.detection.events import Moment
from memguard.live.calibration import calibrate_standing
from memguard.live.standing import Background, StandingWatch
from memguard.training.provenance import Provenance

HERE = Path(__file__).parent
SIZE, PATCH = (64, 64), (0.2, 0.1)  # of mnad_tiny
LONGEST = 600.0  # as events.longest has it
RATES = (0.5, 1.0, 4.0, 12.0)  # per hour


class Hour(NamedTuple):
    """An hour of video.

    Attributes:
        frames: uint8 (N, H, W), grey, of the network's size.
        seconds: The time of each.
        fps: Frames per second.
    """

    frames: Tensor
    seconds: list[float]
    fps: float

    def pictures(self) -> Iterator[tuple[Moment, np.ndarray]]:
        """Yield each frame as a camera sends it, uint8 (3, H, W)."""
        for number, frame in enumerate(self.frames):
            yield Moment(number, self.seconds[number]), frame.expand(3, -1, -1).numpy()


def read(path: Path) -> Hour:
    """Read an hour."""
    stream = VideoStream(path)
    frames, seconds = [], []
    for part in stream:
        stored = part.rgb.transpose(0, 2, 3, 1)
        frames.append(fit(stored, frame_size=list(SIZE), channels=1)[:, 0])
        seconds += part.seconds
    return Hour(torch.cat(frames), seconds, stream.fps)


def calibrated(hours: Sequence[Hour]) -> Alarm:
    """Calibrate the alarm on normal hours."""
    differences = []
    for hour in hours:
        background = Background(SIZE, PATCH)
        found = [background.add(rgb, moment.seconds) for moment, rgb in hour.pictures()]
        differences.append(torch.tensor([each.error for each in found if each]))
    alarm = Alarm()
    calibrate_standing(alarm, differences, hours[0].fps)
    return alarm


def count(hour: Hour, alarm: Alarm, per_hour: float) -> int:
    """Count the events of an hour above the level of a rate."""
    watch = StandingWatch(Background(SIZE, PATCH), alarm, per_hour, hour.fps, LONGEST)
    events = 0
    for moment, rgb in hour.pictures():
        if found := watch.add(rgb, moment.seconds):
            events += watch.stream.add(moment, found.score, found.box) is not None
    return events + (watch.stream.finish() is not None)


def main(data: Path) -> None:
    """Count and record both halves."""
    hours = [read(path) for path in named_videos(data / "upcam" / "normal_later").values()]
    halves = {"first": hours[::2], "second": hours[1::2]}
    alarms = {name: calibrated(half) for name, half in halves.items()}
    for name, other in (("first", "second"), ("second", "first")):
        alarm, counted = alarms[other], halves[name]
        fps = counted[0].fps
        for rate in RATES:
            provenance = Provenance(seed=0)
            level = alarm.level_with_interval(rate, fps)
            seen = sum(count(hour, alarm, rate) for hour in counted)
            finished = provenance.finish()
            row = {"study": "standing_alarms", "run": f"upcam_{name}_{rate:g}"}
            row["command"] = "python experiments/standing_alarms.py DATA"
            row |= {key: finished[key] for key in ("commit", "seed", "machine", "minutes")}
            values = {
                "alarms/promised_per_hour": rate,
                "alarms/hours": alarms[name].hours(fps),
                "alarms/seen": seen,
                "alarms/level": level.score,
                "alarms/level_low": level.low,
                "alarms/level_high": level.high,
                "alarms/normal_hours": alarm.hours(fps),
                "alarms/normal_peaks": alarm.sample_counts[1],
            }
            add(row | {key: f"{value:.7g}" for key, value in values.items()}, HERE / "runs.csv")
            print(row["run"], values, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
