"""The held-out normal frames of a validation, from which thresholds and references are learned."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from memguard import scoring
from memguard.data.clips.windows import ClipBatch
from memguard.detection.alarm import Alarm
from memguard.detection.guard import MemoryGuard
from memguard.detection.normal_patches import NormalPatches
from memguard.detection.normal_pictures import PictureSample
from memguard.detection.reference import Reference, differences, small, traits
from memguard.distributed import gathered_everywhere
from memguard.scoring.metrics import FrameTable
from memguard.scoring.protocols import ScoreConfig

COLUMNS = ["psnr", "regular", "brightness", "contrast", "detail", "flicker", "change"]


class HeldOut:
    """Collect the held-out frames of a validation, of all processes.

    Args:
        scoring: Gives the sizes of patches, and the smoothing of their errors.

    Attributes:
        ignored: bool (H, W), the pixels whose errors do not count for the alarm; None: all count.
    """

    def __init__(self, scoring: ScoreConfig) -> None:
        self.ignored: np.ndarray | None = None
        self._scoring = scoring
        self._table = FrameTable(COLUMNS)
        self._begin()

    def _begin(self) -> None:
        """Forget all frames."""
        self._table.reset()
        self._pictures = PictureSample()
        self._patches = NormalPatches(self._scoring.smoothing)
        self._last = (-1, -1, torch.zeros(0))
        self._frame_size = (0, 0)

    def add(self, batch: ClipBatch, output: Tensor, target: Tensor) -> None:
        """Add the last frame of each window.

        Args:
            batch: B successive windows.
            output: (B, C, H, W), their predicted or reconstructed frames, values in [−1, 1].
            target: The true ones.
        """
        height, width = batch.frames.shape[-2:]
        self._frame_size = height, width
        pictures = small(batch.frames[:, -1])
        places = zip(batch.video.tolist(), batch.frame.tolist(), strict=True)
        self._pictures.add(places, pictures)
        errors = scoring.patch_errors(self._counted(output, target), target, self._scoring.sizes)
        self._patches.add(batch.video, batch.frame, errors)
        self._table.update(
            video=batch.video,
            frame=batch.frame,
            psnr=scoring.psnr(output, target),
            regular=scoring.regular_score(output, target),
            **traits(pictures),
            **self._differences(batch, pictures),
        )

    def _counted(self, output: Tensor, target: Tensor) -> Tensor:
        """Return predicted frames without the errors that do not count."""
        if self.ignored is None:
            return output
        return torch.where(torch.from_numpy(self.ignored).to(target.device), target, output)

    def calibrate(self, guard: MemoryGuard, alarm: Alarm, reference: Reference) -> float:
        """Calibrate the guard and the alarm, have the reference learn, and forget the frames.

        Returns:
            The mean PSNR, dB.
        """
        rows = self._table.rows()  # of all processes, each frame once
        pictures = _joined(gathered_everywhere(self._pictures.kept))
        guard.calibrate(rows["regular"])
        alarm.calibrate(self._patches.stretches())
        reference.learn(rows, pictures, self._frame_size)
        self._begin()
        return float(rows["psnr"].mean())

    def _differences(self, batch: ClipBatch, pictures: Tensor) -> dict[str, Tensor]:
        """Compare each picture with that of the frame before, NaN if that is not known."""
        if batch.frames.shape[1] > 1:
            return differences(small(batch.frames[:, -2]), pictures)
        video, frame, last = self._last
        earlier = torch.cat([last.to(pictures)[None] if len(last) else pictures[:1], pictures[:-1]])
        follows = torch.cat([batch.video.new_tensor([video]), batch.video[:-1]]) == batch.video
        follows &= torch.cat([batch.frame.new_tensor([frame]), batch.frame[:-1]]) + 1 == batch.frame
        self._last = int(batch.video[-1]), int(batch.frame[-1]), pictures[-1]
        return {
            name: value.where(follows.to(value.device), torch.nan)
            for name, value in differences(earlier, pictures).items()
        }


def _joined(samples: Sequence[dict[tuple[int, int], Tensor]]) -> Tensor:
    """Join the pictures of all processes in the order of the video, (N, 64, 64)."""
    joined = {place: picture for sample in samples for place, picture in sample.items()}
    return torch.stack([joined[place] for place in sorted(joined)])
