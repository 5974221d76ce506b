"""Conditions of a camera in which its scores mean nothing: covered, frozen, moved, in the dark.

Small grey copies of a few pictures a second are compared with the checkpoint's reference.
"""

import logging
import math
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from memguard.detection.normal_pictures import small_copy
from memguard.detection.reference import (
    SIDE,
    TRAITS,
    UNCHANGED,
    Reference,
    coarse,
    differences,
    traits,
)
from memguard.live.reports import Condition

# Times in seconds.
BETWEEN_LOOKS = 0.2
WINDOW = 2.0  # medians over this long show a condition after half of it
ENDS_AFTER = 3.0
FROZEN_AFTER = 3.0
MOVED_AFTER = 60.0  # people near the camera cover much of the picture, though not for long

# Limits that are shares of the reference's.
COVERED = 0.3  # of the least contrast
DARK = 0.5  # of the least brightness
BRIGHT = 0.5  # of the way from the highest brightness to white
BLURRED = 0.7  # of the least detail
NOISY = 3.0  # times the usual flicker, and
NOISE = 4.0  # grey levels more

BLACK = 16  # grey levels, the black of television
LIGHTS = 1.3  # the factor of brightness
SHAKEN = 0.6  # small pixels from look to look
BLOCKS = 4  # along each side, whose shifts are compared from look to look
MATCHED = 0.6  # the least correlation of a shifted block
# Normal pictures correlate with the reference by 0.53 or more, those of a turned camera by 0.36.
ALIKE = 0.45
SHIFTED = 0.75  # small pixels
BETTER = 0.1  # by which the correlation must rise with the shift
FARTHEST = 8  # small pixels that the search for a shift goes
NEAR = 4  # the same, from look to look
FINE = 3.0  # small pixels: the standard deviation of the blur below which details lie

log = logging.getLogger(__name__)


def warn_without_reference(checkpoint: Path | str, reference: Reference) -> None:
    """Warn that a checkpoint cannot recognise any condition."""
    if not reference.learned:
        log.warning(
            "%s does not know the look of normal pictures, so no covered or moved camera is "
            "reported: calibrate it on normal hours with python -m memguard.calibrate.",
            checkpoint,
        )


class _Look(NamedTuple):
    """A picture at which the watch has looked.

    Attributes:
        seconds: Its time.
        picture: (64, 64), its small grey copy.
        fine: (64, 64), its details.
        traits: Of the reference, by name.
        jump: The shift of the background since the last look, small pixels.
    """

    seconds: float
    picture: np.ndarray
    fine: np.ndarray
    traits: dict[str, float]
    jump: float


class ConditionWatch:
    """Recognise the conditions of a camera.

    A condition begins after about a second, a frozen picture after three or more, a moved camera
    after a minute, and ends three seconds after the last sign of it. Pictures are compared over
    two seconds, so that what moves in them decides nothing.

    Args:
        reference: Learned from normal pictures of the camera.
        fps: Frames per second of the reference's video.

    Example:
        >>> reference = Reference()
        >>> pictures = torch.rand(50, 64, 64) * 255
        >>> rows = {"video": torch.zeros(50), "change": torch.full((50,), 9.0)}
        >>> flicker = {"flicker": torch.full((50,), 90.0)}
        >>> reference.learn(rows | traits(pictures) | flicker, pictures, frame_size=(64, 64))
        >>> watch = ConditionWatch(reference, fps=5)
        >>> black = np.zeros((3, 120, 160), np.uint8)
        >>> [watch.add(black, seconds / 5) for seconds in range(10)][-1]
        Condition(kind='black', sentence='The picture is black.')
    """

    def __init__(self, reference: Reference, fps: float) -> None:
        self._usual = {trait: reference.range(trait) for trait in TRAITS}
        height, width = reference.frame_size.int().tolist()
        self._frame_size = [height, width]
        self._looks_known = reference.known_looks.cpu().numpy()
        self._coarse = coarse(self._looks_known)
        self._fine = [_fine(picture) for picture in self._looks_known]
        self._frozen_after = max(FROZEN_AFTER, 2 * float(reference.still) / fps)
        self._found: Condition | None = None
        self._began = self._seen = 0.0
        self._begin_again(0.0)

    def _begin_again(self, seconds: float) -> None:
        self._looks: deque[_Look] = deque()
        self._unchanged: Tensor | None = None
        self._changed = seconds

    def restore(self, condition: Condition, seconds: float) -> None:
        """Continue with a condition of an earlier process, until its signs would show again.

        Args:
            condition: It has lasted long enough to be one.
            seconds: The time of the first picture.
        """
        shows = self._frozen_after if condition.kind == "frozen" else 0.0
        self._found, self._began, self._seen = condition, -math.inf, seconds + shows

    def add(self, rgb: np.ndarray, seconds: float) -> Condition | None:
        """Look at the next picture, and return the condition that lasts.

        Args:
            rgb: uint8 (3, H, W), as the camera sends it.
            seconds: Its time.
        """
        since = seconds - self._looks[-1].seconds if self._looks else WINDOW
        if 0 <= since < BETWEEN_LOOKS * 0.99:
            return self._lasting(seconds)
        if not 0 <= since < WINDOW:  # after an outage
            self._begin_again(seconds)
        self._look(rgb, seconds)
        found = self._find()
        if found and self._found and found.kind == self._found.kind:
            self._seen = seconds
        elif (found and not self._lasting(seconds)) or seconds - self._seen >= ENDS_AFTER:
            self._found, self._began, self._seen = found, seconds, seconds
        return self._lasting(seconds)

    def _lasting(self, seconds: float) -> Condition | None:
        """Return the condition that has lasted long enough."""
        if self._found and self._found.kind == "moved" and seconds - self._began < MOVED_AFTER:
            return None
        return self._found

    def _look(self, rgb: np.ndarray, seconds: float) -> None:
        """Add a look, and forget those before the window."""
        picture = small_copy(rgb, self._frame_size)
        last = self._looks[-1] if self._looks else None
        earlier = torch.from_numpy(last.picture)[None] if last else picture
        self._compare(picture, seconds)
        compared = traits(picture) | differences(earlier, picture)
        measured = {name: float(compared[name]) for name in TRAITS}
        grey = picture[0].numpy()
        fine = _fine(grey)
        jump = _jump(last.fine, fine) if last else 0.0
        self._looks.append(_Look(seconds, grey, fine, measured, jump))
        while seconds - self._looks[0].seconds > WINDOW:
            self._looks.popleft()

    def _compare(self, picture: Tensor, seconds: float) -> None:
        """Note a change since the last one, however slow it is."""
        if self._unchanged is not None:
            if differences(self._unchanged, picture)["change"] <= UNCHANGED:
                return
            self._changed = seconds
        self._unchanged = picture

    def _find(self) -> Condition | None:
        """Find a condition in the looks of the window."""
        if self._looks[-1].seconds - self._looks[0].seconds < WINDOW / 2:
            return None
        checks: list[Callable[[], Condition | None]] = [
            self._exposure, self._frozen, self._lights, self._sharpness, self._place,
        ]  # fmt: skip
        return next((found for check in checks if (found := check())), None)

    def _median(self, trait: str) -> float:
        return float(np.median([look.traits[trait] for look in self._looks]))

    def _exposure(self) -> Condition | None:
        """Find a covered lens, and light in which the camera has not been trained."""
        brightness, usual = self._median("brightness"), self._usual["brightness"]
        if brightness > usual[1] + BRIGHT * (255 - usual[1]):
            return Condition("bright", "The picture is brighter than any of the training.")
        if self._median("contrast") < COVERED * self._usual["contrast"][0]:
            if brightness < BLACK:
                return Condition("black", "The picture is black.")
            return Condition("covered", "The picture has no contrast: the lens is covered.")
        if brightness < DARK * usual[0]:
            return Condition("dark", "The picture is darker than any of the training.")
        return None

    def _frozen(self) -> Condition | None:
        if self._looks[-1].seconds - self._changed < self._frozen_after:
            return None
        return Condition("frozen", "The picture is frozen.")

    def _lights(self) -> Condition | None:
        """Find a step of brightness in the window, no earlier than the level after it is known."""
        levels = [look.traits["brightness"] for look in self._looks]
        before, after = np.median(levels[: len(levels) // 4 + 1]), np.median(levels)
        if abs(math.log(max(after, 1) / max(before, 1))) < math.log(LIGHTS):
            return None
        return Condition("lights", "The light changes suddenly.")

    def _sharpness(self) -> Condition | None:
        if np.median([look.jump for look in self._looks]) > SHAKEN:
            return Condition("shaken", "The camera shakes.")
        if self._median("detail") < BLURRED * self._usual["detail"][0]:
            return Condition(
                "blurred", "The picture is blurred: the lens is out of focus or dirty."
            )
        if self._median("flicker") > NOISY * self._usual["flicker"][1] + NOISE:
            return Condition("noisy", "The picture has far more noise than those of the training.")
        return None

    def _place(self) -> Condition | None:
        """Find a shift against the reference, or another scene."""
        picture = np.mean([look.picture for look in self._looks], axis=0)
        nearest = int((self._coarse @ coarse(picture[None])[0]).argmax())
        found = _shift(self._fine[nearest], _fine(picture))
        if found.distance >= SHIFTED and found.there > max(found.here + BETTER, ALIKE):
            return Condition(
                "moved",
                f"The camera has moved: the picture is shifted by {abs(found.x) / SIDE:.0%} of its "
                f"width and {abs(found.y) / SIDE:.0%} of its height.",
            )
        if found.here < ALIKE:
            return Condition(
                "moved",
                "The camera shows another scene than in the training, or is partly covered.",
            )
        return None


class _Shift(NamedTuple):
    """The shift between two pictures.

    Attributes:
        x: To the right, small pixels.
        y: Down.
        here: The correlation without a shift.
        there: The correlation with it.
    """

    x: float
    y: float
    here: float
    there: float

    @property
    def distance(self) -> float:
        return float(np.hypot(self.x, self.y))


def _fine(picture: np.ndarray) -> np.ndarray:
    """Return the details of a small picture, which hardly depend on the light."""
    details: np.ndarray = picture - cv2.GaussianBlur(picture, (0, 0), FINE)
    return details


def _jump(before: np.ndarray, after: np.ndarray) -> float:
    """Return the median shift of the blocks of a picture: objects decide that of some alone.

    Args:
        before: (64, 64), from :func:`_fine`.
        after: The same.
    """
    shifts = [_shift(*pair, NEAR) for pair in zip(_blocks(before), _blocks(after), strict=True)]
    known = [(each.x, each.y) if each.there > MATCHED else (0.0, 0.0) for each in shifts]
    return float(np.hypot(*np.median(known, axis=0)))


def _blocks(picture: np.ndarray) -> np.ndarray:
    """Cut a small picture into blocks, (16, 16, 16)."""
    side = SIDE // BLOCKS
    rows = picture.reshape(BLOCKS, side, BLOCKS, side)
    return np.ascontiguousarray(rows.swapaxes(1, 2).reshape(-1, side, side))


def _shift(before: np.ndarray, after: np.ndarray, farthest: int = FARTHEST) -> _Shift:
    """Find the shift with the highest correlation, to a fraction of a pixel.

    Args:
        before: (64, 64), from :func:`_fine`, or a part.
        after: The same.
        farthest: How far the search goes, small pixels.
    """
    inner = np.ascontiguousarray(after[farthest:-farthest, farthest:-farthest])
    correlation = cv2.matchTemplate(before, inner, cv2.TM_CCOEFF_NORMED)
    _, highest, _, (column, row) = cv2.minMaxLoc(correlation)
    x = column + _peak(correlation[row], column) - farthest
    y = row + _peak(correlation[:, column], row) - farthest
    return _Shift(-x, -y, float(correlation[farthest, farthest]), highest)


def _peak(values: np.ndarray, highest: int) -> float:
    """Return how far the peak of a parabola through three values is from the middle one."""
    if not 0 < highest < len(values) - 1:
        return 0.0
    before, at, after = values[highest - 1 : highest + 2].tolist()
    bend = before - 2 * at + after
    return 0.5 * (before - after) / bend if bend else 0.0
