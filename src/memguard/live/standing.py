"""Things that stand still: a slow background, and the place that differs from it most.

A prediction copies still things, so its error shows a bag that is left behind only as it comes. The
mean of the last seconds is compared with the mean of the last minutes, by which things that stand
are seen for as long as they are no background yet. No network is needed.
"""

from collections import deque
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from memguard.data.video.fitting import fitted
from memguard.detection.alarm_scale import AlarmScale
from memguard.detection.events import Box, EventStream
from memguard.errors import CheckpointError
from memguard.scoring.patch_places import patch_box, pooled

# Times in seconds.
BETWEEN_LOOKS = 0.5
FAST = 8.0  # the mean over this long hardly shows what moves
SLOW = 600.0  # the time constant of the background
SETTLED = 120.0  # a younger background shows what moved in it
CONTINUED = 120.0  # after a longer absence of the process, a new background begins
CALIBRATED = 120.0  # the least compared video of a calibration
BRIDGED = 60.0  # a person who sits and moves is one event, and a mean of eight seconds is slow


class Difference(NamedTuple):
    """The difference between the last seconds and the background.

    Attributes:
        error: The mean squared difference of the worst patch, in [0, 1].
        box: The box of that patch in the picture.
    """

    error: float
    box: Box


class BackgroundState(NamedTuple):
    """The state of a background, from which a restarted process continues.

    Attributes:
        slow: float32 (H, W), the mean of the pictures, grey levels.
        looks: The number of pictures in it.
        last: The time of the last one, seconds.
        settles: The time from which the background is compared, seconds.
    """

    slow: np.ndarray
    looks: int
    last: float
    settles: float


class Background:
    """Compare the last seconds of a camera with its background.

    Both are means of grey frames, two a second. The background is the mean of all, and from ten
    minutes on their exponential average with that time constant. A difference of the mean
    brightness does not count.

    Args:
        frame_size: Height and width of the network's frames.
        patch: Height and width of a patch as shares of the frame's.
        ignored: bool (H, W), the pixels whose differences do not count; None: all count.

    Example:
        >>> background = Background((8, 8), patch=(0.25, 0.25))
        >>> empty = np.full((3, 80, 80), 100, np.uint8)
        >>> found = [background.add(empty, float(second)) for second in range(200)]
        >>> bag = empty.copy()
        >>> bag[:, 40:60, 20:40] = 250
        >>> found += [background.add(bag, float(second)) for second in range(200, 208)]
        >>> found[119], found[199].error, found[207].error > 0.2, found[207].box
        (None, 0.0, True, (20, 40, 40, 60))
    """

    def __init__(
        self,
        frame_size: tuple[int, int],
        patch: Sequence[float],
        ignored: np.ndarray | None = None,
    ) -> None:
        self._size, self._patch = frame_size, patch
        self._counted = np.ones(frame_size, bool) if ignored is None else ~ignored
        self.forget()

    def forget(self) -> None:
        """Forget all pictures: the next one begins a new background."""
        slow = np.zeros(self._size, np.float32)
        self.restore(BackgroundState(slow, looks=0, last=0.0, settles=0.0))

    def state(self) -> BackgroundState:
        """Return the state, without the last seconds."""
        return BackgroundState(self._slow, self._looks, self._last, self._settles)

    def restore(self, state: BackgroundState) -> None:
        """Continue from the state of an earlier process.

        The last seconds are not part of it, as moving things show in fewer of them: eight seconds
        pass before the next difference.
        """
        self._slow, self._looks, self._last, self._settles = state
        self._recent: deque[tuple[float, np.ndarray]] = deque()
        self._found: Difference | None = None

    def add(self, rgb: np.ndarray, seconds: float) -> Difference | None:
        """Add the next picture, and return the last difference; None in the first two minutes.

        Args:
            rgb: uint8 (3, H, W), as the camera sends it.
            seconds: Its time. After a gap of more than eight seconds, or of more than two minutes
                between two processes, a new background begins.
        """
        since = seconds - self._last
        if self._recent and 0 <= since < BETWEEN_LOOKS * 0.99:
            return self._found
        if not 0 <= since <= (FAST if self._recent else CONTINUED):
            self.forget()
        self._look(rgb, seconds)
        if seconds >= self._settles:
            self._found = self._compared(rgb.shape[1:])
        return self._found

    def absorb(self) -> Difference | None:
        """Make the things that stand now part of the background, and return what differs still."""
        if self._found:
            self._slow = self._fast()
            self._found = self._found._replace(error=0.0)
        return self._found

    def _look(self, rgb: np.ndarray, seconds: float) -> None:
        """Add a picture to both means."""
        since = seconds - self._last if self._recent else 0.0
        if not self._looks:
            self._settles = seconds + SETTLED
        elif not self._recent:
            self._settles = max(self._settles, seconds + FAST)
        stored = rgb.transpose(1, 2, 0)
        frame = fitted([stored], frame_size=self._size, channels=1)[0, :, :, 0]
        self._recent.append((seconds, frame))
        while seconds - self._recent[0][0] >= FAST:
            self._recent.popleft()
        self._looks, self._last = self._looks + 1, seconds
        self._slow = self._slow + (frame - self._slow) * max(1 / self._looks, since / SLOW)

    def _fast(self) -> np.ndarray:
        frames = np.stack([frame for _, frame in self._recent])
        return frames.mean(axis=0, dtype=np.float32)

    def _compared(self, picture: tuple[int, ...]) -> Difference:
        """Find the patch with the largest difference.

        Args:
            picture: Height and width of the recorded picture, pixels.
        """
        difference = (self._fast() - self._slow) / 255  # errors are of values in [0, 1]
        difference -= difference.mean(where=self._counted)
        error = np.where(self._counted, difference, 0) ** 2
        errors = pooled(error[None], [self._patch])[0, 0]
        row, column = divmod(int(errors.argmax()), errors.shape[1])
        box = patch_box(row, column, self._patch, self._size, picture)
        return Difference(float(errors.max()), box)


class Standing(NamedTuple):
    """The score of things that stand still.

    Attributes:
        score: In units of the alarm.
        box: The box of the worst patch in the picture.
    """

    score: float
    box: Box


class StandingWatch:
    """Score the things that stand still before a camera.

    One that stands longer than the longest event becomes background.

    Args:
        background: Of the camera.
        alarm: Calibrated on differences from such a background.
        false_per_hour: The accepted false alarms per hour.
        fps: Frames per second of the camera.
        longest: The longest duration of an event, seconds.

    Attributes:
        stream: Joins frames above the level to events.
        per_hour: Estimates how often per hour normal video has a score.
    """

    def __init__(
        self,
        background: Background,
        alarm: AlarmScale,
        false_per_hour: float,
        fps: float,
        longest: float,
    ) -> None:
        self._background, self._alarm = background, alarm
        level = alarm.level(false_per_hour, fps)
        self.stream = EventStream(level, longest, round(BRIDGED * fps))
        self.per_hour = partial(alarm.per_hour, fps=fps)

    def add(self, rgb: np.ndarray, seconds: float) -> Standing | None:
        """Add the next picture, and return its score; None while the background is too young."""
        event = self.stream.open
        found = self._background.add(rgb, seconds)
        if event and seconds - event.start.seconds > self.stream.longest:
            found = self._background.absorb()
        if found is None:
            return None
        return Standing(float(self._alarm.score(found.error)), found.box)

    def forget(self) -> None:
        """Begin a new background, after an outage or a condition of the camera."""
        self._background.forget()


def require_standing(checkpoint: Path | str, alarm: AlarmScale | None) -> None:
    """Reject a checkpoint, or its graph, whose alarm of things that stand is not calibrated.

    Raises:
        CheckpointError: It is not.
    """
    if alarm is None or not alarm.calibrated:
        raise CheckpointError(
            f"{checkpoint} does not know how much normal hours differ from their background, which "
            "standing=true needs: calibrate it with python -m memguard.calibrate on videos of four "
            "minutes or more, or set standing=false."
        )
