"""Find things that stand still: ``python experiments/standing.py NAME CHECKPOINT ROOT``.

NAME is ``ped2`` or ``street``, with its videos in ROOT, and CHECKPOINT a detector trained on them.
The training videos are too short for a background: every second one, end to end and repeated to 250
seconds, calibrates the detector as ``memguard.calibrate`` does. The others, repeated alike, are
watched: after 130 seconds a bag, a cart or a lying person comes and stands for 20 seconds, at three
places in turn. The bag is drawn; cart and person are cut out of test videos by their masks. The
background sees all pictures, the network those from the 120th second on.

From the fourth second of each thing, the frames above the level of half a false alarm an hour are
counted, by the background as ``standing=true`` has it, by the score of the detector, and by the
place farthest from the memory. ``none`` has no thing: the same frames are normal. ``runs.csv`` gets
a row for each: ``standing``, ``NAME_THING``.

The street's recorded checkpoint is of ``python -m memguard.train experiment=demo``.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, cycle, islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from record import add
from torch import Tensor

from memguard.data.datasets.benchmark import Benchmark, VideoRecord
from memguard.data.datasets.labels import read_masks
from memguard.data.datasets.street import street
from memguard.data.datasets.ucsd import ped2
from memguard.data.video.frame_folders import as_video
from memguard.data.video.stream import Pictures, VideoStream
from memguard.detection.alarm import QUANTILES, Alarm
from memguard.detection.detector import Detector
from memguard.detection.events import ScoredPicture
from memguard.detection.frame_scorer import RememberedFrames
from memguard.detection.normal_pictures import NormalPictures
from memguard.live.calibration import NormalVideo
from memguard.live.recording import progress_bar
from memguard.live.scorer import LiveScorer, restored
from memguard.live.standing import StandingWatch
from memguard.scoring import StreamSmoother
from memguard.training.provenance import Provenance

HERE = Path(__file__).parent
CACHE = Path("~/.cache/memguard").expanduser()
CALIBRATION, BEGINS, COMES, ENDS = 250.0, 120.0, 130.0, 150.0  # seconds
COUNTED = 4.0  # seconds after a thing has come
PLACES = (0.3, 0.5, 0.7)  # of its middle, as shares of the picture's width
LONGEST = 600.0  # as events.longest has it
PER_HOUR = 0.5  # of each score, where both share one false alarm an hour
SCORES = ("background", "patch", "farthest")


class CutOut(NamedTuple):
    """A thing of a test video: all that its mask shows in a frame.

    Attributes:
        video: The name of the video.
        frame: The number of the frame.
        turned: Whether it is laid down: turned by a quarter.
    """

    video: str
    frame: int
    turned: bool = False


class Scene(NamedTuple):
    """A dataset with things to cut out.

    Attributes:
        find: Finds its videos.
        fps: Frames per second.
        things: The cutouts by the name of their thing.
    """

    find: Callable[[Path], Benchmark]
    fps: float
    things: dict[str, CutOut]


SCENES = {
    "ped2": Scene(ped2, 10.0, {"cart": CutOut("04", 100), "lying": CutOut("12", 140, turned=True)}),
    "street": Scene(street, 12.5, {"cart": CutOut("03", 110), "lying": CutOut("05", 80)}),
}


class Thing(NamedTuple):
    """A thing that stands in a picture.

    Attributes:
        rgb: uint8 (3, h, w), its pixels.
        mask: bool (h, w), those that show.
        bottom: The row below it.
    """

    rgb: np.ndarray
    mask: np.ndarray
    bottom: int

    def paste(self, picture: np.ndarray, place: float) -> None:
        """Paste it into a picture.

        Args:
            picture: uint8 (3, H, W); changed in place.
            place: Of its middle, as a share of the picture's width.
        """
        height, width = self.mask.shape
        left = round(place * picture.shape[2] - width / 2)
        view = picture[:, self.bottom - height : self.bottom, left : left + width]
        view[:, self.mask] = self.rgb[:, self.mask]


def things(scene: Scene, found: Benchmark) -> dict[str, Thing | None]:
    """Make all things of a scene; None is no thing."""
    made: dict[str, Thing | None] = {"none": None}
    for name, chosen in scene.things.items():
        (video,) = [each for each in found.test if each.name == chosen.video]
        stream = VideoStream(as_video(video.source, CACHE))
        picture = next(islice(pictures([video]), chosen.frame, None))
        _, height, width = picture.shape
        assert video.masks  # the test videos of both have masks
        masks = read_masks(video.masks, stream.length, height, width)
        mask = next(islice(masks, chosen.frame, None))
        made[name] = cut_out(picture, mask, turned=chosen.turned)
        made.setdefault("bag", bag(height, width))
    return made


def cut_out(picture: np.ndarray, mask: np.ndarray, *, turned: bool) -> Thing:
    """Cut out of a picture, uint8 (3, H, W), what a mask, bool (H, W), shows."""
    shown = np.argwhere(mask)
    (top, left), (last, right) = shown.min(axis=0), shown.max(axis=0)
    rows, columns = slice(top, last + 1), slice(left, right + 1)
    rgb, mask = picture[:, rows, columns], mask[rows, columns]
    if turned:
        rgb, mask = np.rot90(rgb, axes=(1, 2)), np.rot90(mask)
    return Thing(rgb.copy(), mask, bottom=int(last) + 1)


def bag(height: int, width: int) -> Thing:
    """Draw a dark bag with a handle for a picture of this size."""
    size = (height // 24, width // 26)
    mask = np.ones(size, bool)
    mask[: size[0] // 4] = False
    mask[: size[0] // 4, size[1] // 3 : -(size[1] // 3)] = True
    return Thing(np.full((3, *size), 40, np.uint8), mask, bottom=round(0.7 * height))


def pictures(videos: Sequence[VideoRecord]) -> Iterator[np.ndarray]:
    """Yield the pictures of videos end to end, uint8 (3, H, W) each."""
    for video in videos:
        for part in VideoStream(as_video(video.source, CACHE)):
            yield from part.rgb


class Repeated:
    """A part of videos that are taken end to end and repeated; at its end a thing stands in them.

    Args:
        videos: The videos.
        fps: Frames per second.
        begins: The beginning of the part, seconds.
        ends: Its end, seconds.
        thing: Comes at :data:`COMES`; None: nothing comes.
        place: Of the thing's middle, as a share of the picture's width.
    """

    def __init__(
        self,
        videos: Sequence[VideoRecord],
        fps: float,
        begins: float,
        ends: float,
        thing: Thing | None = None,
        place: float = 0.5,
    ) -> None:
        self._videos, self._thing, self._place = videos, thing, place
        self.name, self.fps, self.dropped, self.torn = "standing", fps, 0, 0
        self._first, self._last = round(begins * fps), round(ends * fps)
        self.length = self._last - self._first

    def __iter__(self) -> Iterator[Pictures]:
        """Yield all pictures in order."""
        rounds = chain.from_iterable(map(pictures, cycle([self._videos])))
        for number, rgb in islice(enumerate(rounds), self._first, self._last):
            seconds = number / self.fps
            if self._thing and seconds >= COMES:
                self._thing.paste(rgb, self._place)
            yield Pictures(rgb[None], number, [seconds], follows=number > self._first)


class Farthest:
    """Note how far the farthest place of each frame is from its item, smoothed over the past.

    Args:
        detector: Scores the frames.

    Attributes:
        errors: The squared distances, in order.
    """

    def __init__(self, detector: Detector) -> None:
        self._score, self._smoothing = detector.score_frames, detector.scoring.smoothing
        detector.score_frames = self  # type: ignore[method-assign]
        self.begin()

    def begin(self) -> None:
        """Begin a stream."""
        self.errors: list[float] = []
        self._smoother = StreamSmoother(self._smoothing, causal=True)

    def __call__(self, clips: Tensor, videos: Tensor) -> RememberedFrames:
        """Score frames; see :meth:`Detector.score_frames`."""
        found = self._score(clips, videos)
        distance = 2 - 2 * found["similarity"].amax(dim=-1).float().cpu()  # of unit rows
        self.errors += self._smoother(distance).flatten(1).amax(dim=1).tolist()
        return found


class Watcher:
    """Watch streams by the three scores.

    Args:
        scorer: Has a detector whose alarms are not calibrated yet.
        normal: The normal video to calibrate on.
    """

    def __init__(self, scorer: LiveScorer, normal: Repeated) -> None:
        self._scorer, self._farthest = scorer, Farthest(scorer.detector)
        if not scorer.alarm.calibrated:  # any scale does, as it is undone
            scorer.alarm.calibrate([torch.linspace(0, 1, QUANTILES)])
        measured = NormalVideo(NormalPictures(scorer.frame_size))
        with progress_bar() as progress:
            measured.add(normal, scorer, None, progress)
        measured.teach(scorer.detector)
        self._alarm = Alarm()
        self._alarm.calibrate([torch.tensor(self._farthest.errors)])

    def above(self, before: Repeated, stream: Repeated) -> np.ndarray:
        """Find the counted frames above the level of each of :data:`SCORES`, (frames, 3) 0 or 1.

        Args:
            before: The part that the background sees alone.
            stream: The part with the thing.
        """
        self._farthest.begin()
        alarm, fps = self._scorer.alarm, stream.fps
        background, standing = self._scorer.background(), self._scorer.detector.standing
        watch = StandingWatch(background, standing, PER_HOUR, fps, LONGEST)
        levels = watch.stream.level, alarm.level(PER_HOUR, fps), self._alarm.level(PER_HOUR, fps)
        for picture in before:
            watch.add(picture.rgb[0], picture.seconds[0])
        rows = []
        for scored in self._scorer.watch(stream):
            assert isinstance(scored, ScoredPicture)  # no camera
            stands = watch.add(scored.rgb, scored.moment.seconds)
            if stands and scored.moment.seconds >= COMES + COUNTED:
                error = torch.tensor(self._farthest.errors[-1])
                rows.append((stands.score, scored.score, float(self._alarm.score(error))))
        return np.array(rows) > levels


def main(name: str, checkpoint: Path, root: Path) -> None:
    """Watch and record each thing."""
    scene = SCENES[name]
    found = scene.find(root)
    calibrating, watched = found.train[::2], found.train[1::2]
    provenance = Provenance(seed=0)
    scorer = restored(checkpoint, guard={"scope": "video"})
    watcher = Watcher(scorer, Repeated(calibrating, scene.fps, 0, CALIBRATION))
    for thing, made in things(scene, found).items():
        before = Repeated(watched, scene.fps, 0, BEGINS)
        streams = [Repeated(watched, scene.fps, BEGINS, ENDS, made, place) for place in PLACES]
        above = np.concatenate([watcher.above(before, stream) for stream in streams])
        finished = provenance.finish()
        row = {"study": "standing", "run": f"{name}_{thing}"}
        row["command"] = " ".join(["python experiments/standing.py", *sys.argv[1:]])
        row |= {key: finished[key] for key in ("commit", "seed", "machine", "minutes")}
        row["standing/frames"] = str(len(above))
        shares = zip(SCORES, above.mean(axis=0), strict=True)
        row |= {f"standing/share_{score}": f"{share:.7g}" for score, share in shares}
        add(row, HERE / "runs.csv")
        print(row, flush=True)
        provenance = Provenance(seed=0)


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in SCENES:
        sys.exit(__doc__)
    main(sys.argv[1], *map(Path, sys.argv[2:]))
