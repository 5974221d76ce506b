"""The past of a stream that is scored: its latest frames, and the smoothing of its errors."""

from collections.abc import Mapping

import torch
from torch import Tensor

from memguard.data.video.reader import fit
from memguard.data.video.stream import Pictures
from memguard.detection.ignored import counted
from memguard.scoring import StreamSmoother, patch_errors
from memguard.scoring.protocols import ScoreConfig


class StreamPast:
    """Turn the pictures of a stream into windows, and patch errors into smoothed ones.

    Args:
        number: The number of the stream, which names its items in the guard.
        length: Frames of a window.
        frame_size: Height and width of the network's frames.
        channels: Channels of the network's frames.
        scoring: The sizes of patches and the smoothing.
        ignored: bool (H, W), the pixels of the network's frame whose errors do not count; None:
            all count.
    """

    def __init__(
        self,
        number: int,
        length: int,
        frame_size: tuple[int, int],
        channels: int,
        scoring: ScoreConfig,
        ignored: Tensor | None = None,
    ) -> None:
        self.number = number
        self._length, self._size, self._channels = length, frame_size, channels
        self._scoring, self._ignored = scoring, ignored
        self.forget()

    def forget(self) -> None:
        """Forget all pictures: the next one begins a new past."""
        self._frames: Tensor | None = None
        self._smoother = StreamSmoother(self._scoring.smoothing, causal=True)

    def windows(self, pictures: Pictures) -> Tensor:
        """Add pictures, and return their windows: uint8 (N, T, C, H, W).

        A picture without enough of a past has no window, so these are windows of the last N
        pictures.
        """
        if not pictures.follows:
            self.forget()
        stored = pictures.rgb.permute(0, 2, 3, 1).numpy()
        frames = fit(stored, frame_size=self._size, channels=self._channels)
        known = frames if self._frames is None else torch.cat([self._frames, frames])
        self._frames = known[max(len(known) - self._length + 1, 0) :]
        if len(known) < self._length:
            return known.new_empty(0, self._length, *known.shape[1:])
        return known.unfold(0, self._length, 1).movedim(-1, 1)

    def counted(self, found: Mapping[str, Tensor]) -> Tensor:
        """Return the predicted frames without the errors that do not count, (N, C, H, W).

        Args:
            found: The values of the frames, as the detector's ``score_frames`` returns them.
        """
        return counted(found["output"], found["target"], self._ignored)

    def patches(self, found: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the patch errors of the next frames, (N, S, rows, columns), and smoothed ones.

        Args:
            found: The values of the frames, as the detector's ``score_frames`` returns them.
        """
        patches = found["patch"]
        if self._ignored is not None:
            patches = patch_errors(self.counted(found), found["target"], self._scoring.sizes)
        patches = patches.cpu()
        return patches, self._smoother(patches)
