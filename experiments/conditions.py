"""Count alarms in conditions of a camera: ``experiments/conditions.py NAME CHECKPOINT VIDEO``.

VIDEO, a file or a folder of videos that are taken end to end, is as it is for four seconds; then a
filter makes a condition of it for 15 seconds, or for 66 if the camera is moved. CHECKPOINT has an
alarm and a reference, such as ``memguard.calibrate`` gives it. For each condition the alarms with
``conditions=false`` and with ``conditions=true`` are counted, and the seconds until it is
recognised. ``runs.csv`` gets a row for each: ``conditions``, ``NAME_CONDITION``.

The recorded checkpoints are of ``python -m memguard.train model=mnad_tiny trainer=cpu`` with
``dataset=folder dataset.root=data/upcam trainer.max_epochs=2 trainer.limit_train_batches=1500``,
and with ``dataset=ped2 trainer.max_epochs=5 data.holdout=0.3``.
"""

import sys
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import av
import cv2
import numpy as np
from record import add

import memguard
from memguard.data.video.stream import Interruption, Pictures, Stream
from memguard.detection.events import EventStream, ScoredPicture
from memguard.live.conditions import ConditionWatch
from memguard.live.events.event_files import EventFiles, Keeping
from memguard.live.events.reporter import EventReporter
from memguard.live.notify.notifier import Notifier
from memguard.live.recording import streams_of
from memguard.live.reports import ANOMALY, BEGIN, Condition
from memguard.live.scorer import LiveScorer
from memguard.training.provenance import Provenance

HERE = Path(__file__).parent
CACHE = Path("~/.cache/memguard").expanduser()
BEGINS, LASTS, MOVED_LASTS = 4.0, 15.0, 66.0  # seconds
FALSE_PER_HOUR = 1.0
NO_PICTURES = Keeping(snapshots=False, clip=None, days=1, gigabytes=1)

Filter = Callable[[np.ndarray, float], np.ndarray]
"""Changes a picture, uint8 (H, W, 3), at its seconds since the beginning of the condition."""


def _noisy(picture: np.ndarray) -> np.ndarray:
    """Add the noise of a sensor."""
    noise = np.random.default_rng(int(picture[::7, ::7].sum())).normal(0, 2, picture.shape)
    changed: np.ndarray = (picture + noise).clip(0, 255).astype(np.uint8)
    return changed


def _scaled(picture: np.ndarray, factor: float, offset: float = 0) -> np.ndarray:
    return _noisy(picture * factor + offset)


def _shifted(picture: np.ndarray, pixels: float) -> np.ndarray:
    matrix = np.array([[1, 0, pixels], [0, 1, 0]], np.float32)
    size = picture.shape[1::-1]
    return cv2.warpAffine(picture, matrix, size, borderMode=cv2.BORDER_REFLECT)


def _dirty(picture: np.ndarray) -> np.ndarray:
    """Cover a third of the picture with dark blots that are out of focus."""
    height, width = picture.shape[:2]
    blots = np.random.default_rng(0).uniform(size=(4, 6)) < 1 / 3
    cover = cv2.resize(blots.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    cover = cover.clip(0, 1)[..., None]
    return (picture * (1 - cover) + 40 * cover).astype(np.uint8)


class _Frozen:
    """Repeat the first picture."""

    def __init__(self) -> None:
        self._first: np.ndarray | None = None

    def __call__(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """Return the first picture."""
        self._first = picture if self._first is None else self._first
        return self._first


class _Sent(_Frozen):
    """Repeat the first picture as a camera sends it: encoded again, with key frames."""

    def __init__(self) -> None:
        super().__init__()
        options = {"preset": "veryfast", "tune": "zerolatency", "g": "10"}
        self._encoder = av.VideoCodecContext.create("libx264", "w")
        self._encoder.pix_fmt, self._encoder.options = "yuv420p", options
        self._encoder.time_base, self._encoder.bit_rate = Fraction(1, 5), 300_000
        self._decoder = av.VideoCodecContext.create("h264", "r")
        self._decoder.thread_count = 1  # several threads return each picture later

    def __call__(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """Return what the encoder makes of the first picture."""
        frame = av.VideoFrame.from_ndarray(super().__call__(picture, seconds), "rgb24")
        if not self._encoder.is_open:
            self._encoder.width, self._encoder.height = frame.width, frame.height
        packets = self._encoder.encode(frame.reformat(format="yuv420p"))
        (decoded,) = (each for packet in packets for each in self._decoder.decode(packet))
        return decoded.to_ndarray(format="rgb24")


def conditions() -> dict[str, tuple[str, Filter]]:
    """Make the filters, each with the kind of condition that it is to be recognised as."""
    return {
        "none": ("", lambda p, s: p),
        "black": ("black", lambda p, s: np.zeros_like(p)),
        "covered": ("covered", lambda p, s: _noisy(np.full_like(p, 70))),
        "dark": ("dark", lambda p, s: _scaled(p, 0.2)),
        "bright": ("bright", lambda p, s: _scaled(p, 0.25, 190)),
        "frozen": ("frozen", _Frozen()),
        "frozen_sent": ("frozen", _Sent()),
        "lights": ("lights", lambda p, s: p if s // 5 % 2 else _scaled(p, 0.6)),
        "shaken": ("shaken", lambda p, s: _shifted(p, p.shape[1] / 50 * (int(s * 5) % 2))),
        "blurred": ("blurred", lambda p, s: cv2.GaussianBlur(p, (0, 0), p.shape[1] / 40)),
        "dirt": ("blurred", lambda p, s: _dirty(p)),
        "moved_10": ("moved", lambda p, s: _shifted(p, 10)),
        "moved_40": ("moved", lambda p, s: _shifted(p, 40)),
        "mirrored": ("moved", lambda p, s: np.ascontiguousarray(p[:, ::-1])),
        "upside_down": ("moved", lambda p, s: np.ascontiguousarray(p[::-1, ::-1])),
    }


class Filtered:
    """A video with a condition from the fourth second on.

    Args:
        video: A file, or a folder of videos.
        change: The filter.
        lasts: The duration of the condition, seconds.
    """

    def __init__(self, video: Path, change: Filter, lasts: float) -> None:
        self._streams: list[Stream] = [open_() for open_ in streams_of(str(video), CACHE).values()]
        self._change, self._ends = change, BEGINS + lasts
        self.name, self.fps = video.stem, self._streams[0].fps
        self.length = None
        self.dropped = self.torn = 0

    def __iter__(self) -> Iterator[Pictures | Interruption]:
        """Yield all pictures in order."""
        number = 0
        for each in chain.from_iterable(self._streams):
            assert isinstance(each, Pictures)  # no camera
            seconds = [(number + place) / self.fps for place in range(len(each.rgb))]
            changed = map(self._changed, each.rgb, seconds)
            yield Pictures(np.stack(list(changed)), number, seconds, follows=number > 0)
            number += len(seconds)
            if seconds[-1] >= self._ends:
                return

    def _changed(self, rgb: np.ndarray, seconds: float) -> np.ndarray:
        if seconds < BEGINS:
            return rgb
        picture = np.ascontiguousarray(rgb.transpose(1, 2, 0))
        return self._change(picture, seconds - BEGINS).transpose(2, 0, 1)


class _Noted:
    """Note when each kind of condition is recognised after the beginning of the filter.

    Attributes:
        kinds: The seconds until then, by the kind.
    """

    def __init__(self, watch: ConditionWatch) -> None:
        self._watch = watch
        self.kinds: dict[str, float] = {}

    def add(self, rgb: np.ndarray, seconds: float) -> Condition | None:
        """Return the condition that lasts."""
        found = self._watch.add(rgb, seconds)
        if found and seconds >= BEGINS:
            self.kinds.setdefault(found.kind, seconds - BEGINS)
        return found


class Counted(NamedTuple):
    """The alarms of a video with a condition.

    Attributes:
        before: The alarms with ``conditions=false``.
        after: The alarms with ``conditions=true``.
        frames: The frames above the level.
        held_back: Those of them that are held back.
        kinds: The seconds until a condition is recognised, by its kind.
    """

    before: int
    after: int
    frames: int
    held_back: int
    kinds: dict[str, float]


def counted(scorer: LiveScorer, stream: Filtered, folder: Path) -> Counted:
    """Count the alarms of a stream that begin with the condition or after it."""
    level = scorer.alarm.level(FALSE_PER_HOUR, stream.fps)
    noted = _Noted(ConditionWatch(scorer.detector.reference, scorer.fps or stream.fps))
    reporters = [
        EventReporter(
            name, folder / name, EventStream(level), lambda score: 1.0,
            EventFiles(folder / name / "events", NO_PICTURES), Notifier(),
            live=False, conditions=watch,  # type: ignore[arg-type]
        )
        for name, watch in (("before", None), ("after", noted))
    ]  # fmt: skip
    alarms, frames = [0, 0], 0
    for scored in scorer.watch(stream):
        assert isinstance(scored, ScoredPicture)
        begun = scored.moment.seconds >= BEGINS
        frames += begun and scored.score > level
        for place, reporter in enumerate(reporters):
            reports = reporter.add(scored)
            alarms[place] += begun and any(r.kind == ANOMALY and r.state == BEGIN for r in reports)
    before, after = alarms
    return Counted(before, after, frames, reporters[1].held_back, noted.kinds)


def main(name: str, checkpoint: Path, video: Path) -> None:
    """Count and record each condition."""
    scorer = memguard.load(checkpoint, guard={"scope": "video"})
    for condition, (expected, change) in conditions().items():
        provenance = Provenance(seed=0)
        with TemporaryDirectory() as folder:
            for reporter in ("before", "after"):
                (Path(folder) / reporter).mkdir()
            lasts = MOVED_LASTS if expected == "moved" else LASTS
            found = counted(scorer, Filtered(video, change, lasts), Path(folder))
        made = provenance.finish()
        row = {"study": "conditions", "run": f"{name}_{condition}"}
        row["command"] = " ".join(["python experiments/conditions.py", *sys.argv[1:]])
        row |= {key: made[key] for key in ("commit", "seed", "machine", "minutes")}
        values: dict[str, float] = {
            "condition/alarms_before": found.before,
            "condition/alarms_after": found.after,
            "condition/frames_above_level": found.frames,
            "condition/frames_held_back": found.held_back,
            "condition/recognised": expected in found.kinds,
            "condition/other_kinds": len(found.kinds.keys() - {expected}),
        }
        if expected in found.kinds:
            values["condition/seconds"] = found.kinds[expected]
        add(row | {key: f"{value:.7g}" for key, value in values.items()}, HERE / "runs.csv")
        print(f"{name}: {condition}: {found}", flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(sys.argv[1], *map(Path, sys.argv[2:]))
