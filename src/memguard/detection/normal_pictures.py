"""The normal pictures from which a reference learns, in bounded memory."""

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

from memguard.data.video.reader import fit
from memguard.detection.reference import TRAITS, Reference, differences, small, traits

MOST_PICTURES = 500


class PictureSample:
    """Keep some of many pictures, evenly spread, in bounded memory.

    Attributes:
        kept: Each kept picture, (64, 64), by its video and frame.
    """

    def __init__(self) -> None:
        self.kept: dict[tuple[int, int], Tensor] = {}
        self._seen, self._every = 0, 1

    def add(self, places: Iterable[tuple[int, int]], pictures: Tensor) -> None:
        """Add pictures.

        Args:
            places: The video and the frame of each.
            pictures: (N, 64, 64).
        """
        for place, picture in zip(places, pictures.cpu(), strict=True):
            if self._seen % self._every == 0:
                self.kept[place] = picture
            self._seen += 1
            if len(self.kept) == 2 * MOST_PICTURES:
                self.kept = dict(list(self.kept.items())[::2])
                self._every *= 2


class NormalPictures:
    """Collect the pictures of normal streams, one by one.

    Args:
        frame_size: Height and width of the network's frames, pixels.

    Example:
        >>> normal, reference = NormalPictures((64, 64)), Reference()
        >>> normal.begin()
        >>> for _ in range(20):
        ...     normal.add(np.random.randint(256, size=(3, 120, 160), dtype=np.uint8))
        >>> normal.teach(reference)
        >>> reference.learned
        True
    """

    def __init__(self, frame_size: tuple[int, int]) -> None:
        self._frame_size = frame_size
        self._sample = PictureSample()
        self._rows = {name: array("f") for name in ("video", *TRAITS, "change")}
        self._last: Tensor | None = None
        self._stretch = 0

    def begin(self) -> None:
        """Begin a stretch, whose first picture is not compared with the one before."""
        self._stretch, self._last = self._stretch + 1, None

    def add(self, rgb: np.ndarray) -> None:
        """Add the next picture, uint8 (3, H, W), as the camera sends it."""
        picture = small_copy(rgb, self._frame_size)
        unknown = dict.fromkeys(("flicker", "change"), torch.tensor([torch.nan]))
        compared = unknown if self._last is None else differences(self._last, picture)
        self._sample.add([(self._stretch, len(self._rows["video"]))], picture)
        self._last = picture
        values = {name: float(value) for name, value in (traits(picture) | compared).items()}
        for name, column in self._rows.items():
            column.append(self._stretch if name == "video" else values[name])

    def teach(self, reference: Reference) -> None:
        """Have a reference learn from all pictures."""
        rows = {name: torch.tensor(column) for name, column in self._rows.items()}
        reference.learn(rows, torch.stack(list(self._sample.kept.values())), self._frame_size)


def small_copy(rgb: np.ndarray, frame_size: Sequence[int]) -> Tensor:
    """Make the small grey copy of a camera's picture that it has as a frame of a training.

    Args:
        rgb: uint8 (3, H, W).
        frame_size: Height and width of the network's frames, pixels.

    Returns:
        (1, 64, 64), grey levels from 0 to 255.
    """
    stored = rgb.transpose(1, 2, 0)
    return small(fit([stored], frame_size=list(frame_size), channels=3))
