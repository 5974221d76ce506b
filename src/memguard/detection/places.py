"""Metrics of a test's places: its regions and error maps against tracks and masks."""

import logging
from collections.abc import Iterator, Sequence
from functools import cached_property
from math import isnan

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch
from memguard.data.datasets.labels import linked_regions
from memguard.data.datasets.truth import Truth
from memguard.distributed import gathered_everywhere
from memguard.scoring import squared_error
from memguard.scoring.localization import hit_rate, rbdc_tbdc
from memguard.scoring.pixels import PixelAUROC

log = logging.getLogger(__name__)


class PlaceMetrics:
    """Compare the places of a test with the truth, in memory that does not grow with the videos.

    Error maps are counted frame by frame, and not stored. Frames that are not scored, such as the
    first four of a video in ``pred``, count neither in the maps nor in the tracks.

    A metric needs the truth of every tested video. Tracks and masks that do not fit their video are
    an error before the test. Those that only some videos have are a warning, and the metric is left
    out: a release may have the masks of some videos alone (Ped1: 10 of 36), and the metrics of
    frames need none.

    Args:
        data: The tested videos, of one test or of several.
    """

    def __init__(self, data: ClipDataModule) -> None:
        self._data = data
        self._pixels = PixelAUROC()
        self._reading: dict[int, Iterator[tuple[int, np.ndarray]]] = {}
        self._linked: dict[int, list[tuple[int, ...]]] = {}

    def begin(self) -> None:
        """Discard the pixels of the last test."""
        self._pixels.reset()
        self._reading.clear()

    @cached_property
    def _truth(self) -> dict[int, Truth]:
        """The truth of each tested video, by its number; a video that alone has none is named."""
        records, tested = self._data.benchmark.test, self._data.tested
        truth = {
            segment.number: Truth(
                records[segment.number],
                tested[segment.number],
                normal=segment.labels is not None and not segment.labels.any(),
            )
            for segment in self._data.test_segments
        }
        _warn_of_missing(list(truth.values()))
        return truth

    @cached_property
    def _own(self) -> frozenset[int]:
        """The numbers of the videos that count in this process."""
        return frozenset(segment.number for segment in self._data.own_tests)

    @cached_property
    def _has_masks(self) -> bool:
        return all(truth.has_masks for truth in self._truth.values())

    def add(self, batch: ClipBatch, output: Tensor, target: Tensor) -> None:
        """Count the pixels of successive frames of one video, or of several.

        Args:
            batch: The windows.
            output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
            target: The same shape, the true frames.
        """
        if not self._has_masks:
            return
        errors = squared_error(output, target).mean(dim=1, keepdim=True)
        for video in self._own & set(batch.video.tolist()):
            rows = batch.video == video
            masks = np.stack([self._mask(video, frame) for frame in batch.frame[rows].tolist()])
            resized = F.interpolate(errors[rows], masks.shape[1:], mode="bilinear")[:, 0]
            self._pixels.update(resized.clamp(0, 1), torch.from_numpy(masks))

    def _mask(self, video: int, frame: int) -> np.ndarray:
        """Read the mask of a frame; the frames of a video come in order."""
        masks = self._reading.setdefault(video, enumerate(self._masks(video)))
        mask = next(mask for number, mask in masks if number == frame)
        if frame == self._truth[video].footage.frames - 1:
            del self._reading[video]
        return mask

    def _masks(self, video: int) -> Iterator[np.ndarray]:
        """Read the masks of a video, and link their regions on the way where there is no file."""
        truth = self._truth[video]
        if truth.record.tracks:
            yield from truth.masks()
            return
        rows = self._linked[video] = []
        for mask, regions in linked_regions(truth.masks()):
            rows += regions
            yield mask

    def metrics(self, frames: dict[str, Tensor], regions: Tensor) -> dict[str, float]:
        """Compute the metrics of a finished test; all processes take part.

        Args:
            frames: The scored frames of all processes, columns ``video`` and ``frame``.
            regions: (N, 7), their regions; see
                :attr:`memguard.detection.frame_scorer.FrameScorer.regions`.

        Returns:
            ``test/rbdc``, ``test/tbdc`` and ``test/hit_rate`` of the regions where all videos have
            tracks or masks, and ``test/auroc_pixel`` of the squared errors where all have masks;
            without those that are not defined.
        """
        found: dict[str, float] = {}
        if all(truth.has_tracks for truth in self._truth.values()):
            found = self._regions(frames, regions)
        if self._has_masks:
            found["test/auroc_pixel"] = float(self._pixels.compute())
        return {name: value for name, value in found.items() if not isnan(value)}

    def _regions(self, frames: dict[str, Tensor], regions: Tensor) -> dict[str, float]:
        tracks = self._tracks
        video, frame = (frames[name].long().numpy() for name in ("video", "frame"))
        scored = {
            number: rows[np.isin(rows[:, 1], frame[video == number])]
            for number, rows in tracks.items()
        }
        rows = regions.numpy().astype(float)
        rows[:, 4:6] -= 1  # their right and lower sides are past the end
        detections = {number: rows[rows[:, 0] == number, 1:] for number in tracks}
        rbdc, tbdc = rbdc_tbdc(detections, scored, len(frame))
        hits = hit_rate(detections, scored)
        return {"test/rbdc": rbdc, "test/tbdc": tbdc, "test/hit_rate": hits}

    @cached_property
    def _tracks(self) -> dict[int, np.ndarray]:
        """The tracks of each tested video, by its number; each process reads its own videos."""
        own = {
            video: np.array(self._linked[video], float).reshape(-1, 6)
            if video in self._linked
            else self._truth[video].tracks()
            for video in self._own
        }
        return {video: rows for part in gathered_everywhere(own) for video, rows in part.items()}


def _warn_of_missing(truths: Sequence[Truth]) -> None:
    """Name the first video without the truth that others have."""
    unplaced = [truth.record for truth in truths if not truth.has_tracks]
    unmasked = [truth.record for truth in truths if not truth.has_masks]
    if unplaced and any(truth.record.tracks or truth.record.masks for truth in truths):
        log.warning(
            "%s: this video has neither masks nor tracks, but others have; RBDC, TBDC, hit rate "
            "and pixel AUROC are left out. Add its masks, or tracks/%s.txt, empty for a video "
            "without anomalies.",
            unplaced[0].source,
            unplaced[0].name,
        )
    elif unmasked and any(truth.record.masks for truth in truths):
        log.warning(
            "%s: this video has no masks, but others have; pixel AUROC is left out. Add its masks.",
            unmasked[0].source,
        )
