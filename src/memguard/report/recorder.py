"""The recorder of a test: thumbnails, candidates for alarms, and the use of the memory."""

from dataclasses import dataclass
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch
from memguard.detection.frame_scorer import RememberedFrames, ScoredFrames
from memguard.distributed import gathered
from memguard.report.item_usage import ItemUse
from memguard.report.pictures import Size, fitted, levels, photograph
from memguard.scoring import worst_patch

THUMBNAIL_SIDE = 144
THUMBNAILS_BYTES = 2_500_000
CANDIDATE_SIDE = 128


class Thumbnails:
    """Hold small pictures of every n-th frame of a test, within a total size.

    If they exceed the size, n doubles and every other picture is dropped: the pictures are spread
    evenly over the frames.

    Args:
        limit: Bytes of all pictures together, as data URLs.

    Attributes:
        step: n.
    """

    def __init__(self, limit: int = THUMBNAILS_BYTES) -> None:
        self.limit = limit
        self.step = 1
        self._bytes = 0
        self._urls: dict[tuple[int, int], str] = {}

    def wants(self, frame: int) -> bool:
        """Return whether a frame of this number is among those to hold."""
        return frame % self.step == 0

    def add(self, video: int, frame: int, picture: np.ndarray, size: Size) -> None:
        """Add a frame, uint8 (C, H, W), in this size."""
        url = photograph(picture, size, quality=60)
        self._urls[video, frame] = url
        self._bytes += len(url)
        while self._bytes > self.limit and len(self._urls) > 1:
            self._thin_out(2 * self.step)

    def join(self, other: "Thumbnails") -> None:
        """Add the thumbnails of other videos, as if one object had seen all videos."""
        self._urls |= other._urls
        self._thin_out(max(self.step, other.step))
        while self._bytes > self.limit and len(self._urls) > 1:
            self._thin_out(2 * self.step)

    def _thin_out(self, step: int) -> None:
        self.step = step
        self._urls = {at: url for at, url in self._urls.items() if self.wants(at[1])}
        self._bytes = sum(map(len, self._urls.values()))

    def of_video(self, video: int) -> dict[int, str]:
        """Return a video's pictures as data URLs, by frame number."""
        return {frame: url for (of, frame), url in self._urls.items() if of == video}


@dataclass(frozen=True)
class Candidate:
    """A frame that may have the highest score of its video.

    Attributes:
        frame: The 0-based number of the frame.
        psnr: dB.
        distance: The distance term of the score.
        patch: The mean squared error of its worst patch, not smoothed over time.
        target: uint8 (C, H, W), the frame itself.
        output: uint8 (C, H, W), its prediction or reconstruction.
        similarity: (H, W, M), the cosine of each query with each item; None without a memory.
    """

    frame: int
    psnr: float
    distance: float
    patch: float
    target: np.ndarray
    output: np.ndarray
    similarity: np.ndarray | None


class TestRecorder(pl.Callback):
    """Record a test for the report: thumbnails, the use of the memory, and candidates for alarms.

    No score is known before the end of its video. The recorder therefore keeps the few frames of
    each video that may have the highest one: see :func:`choose_candidates`. Its size grows with the
    number of videos, not with their length. In a test by several processes, the first one joins the
    records of all at the end.

    Attributes:
        thumbnails: Thumbnails of frames, by video.
        sizes: The size of each video's thumbnails.
        memory: The use of the items; None without a memory.
        items: (M, C), the items at the end of the test.
        predicts: Whether frames are predicted from those before them, and not reconstructed.
    """

    __test__ = False  # pytest takes classes of this name for its own

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self.thumbnails = Thumbnails()
        self.sizes: dict[int, Size] = {}
        self.memory: ItemUse | None = None
        self.items = np.empty((0, 0))
        self._last_video = -1
        self.predicts = False
        self._candidates: dict[int, list[Candidate]] = {}

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Discard the record of the last test, and choose the size of each video's thumbnails."""
        self._reset()
        datamodule = cast(ClipDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        for number, footage in datamodule.tested.items():
            self.sizes[number] = fitted(footage.width, footage.height, THUMBNAIL_SIDE)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: ScoredFrames,  # type: ignore[override]
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Record successive frames of one video, or of several."""
        datamodule = cast(ClipDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        self.predicts = batch.frames.shape[1] > 1
        if int(batch.video[0]) not in [segment.number for segment in datamodule.own_tests]:
            return
        places = zip(batch.video.tolist(), batch.frame.tolist(), strict=True)
        for index, (video, frame) in enumerate(places):
            if self.thumbnails.wants(frame):
                picture = batch.frames[index, -1].cpu().numpy()
                self.thumbnails.add(video, frame, picture, self.sizes[video])
        if _similarity(outputs) is not None:
            self._observe_memory(cast(RememberedFrames, outputs), batch)
        self._keep_candidates(outputs, batch)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join the records of all processes in the first."""
        # Not the recorder itself, which holds Lightning's logging, and that the whole detector.
        own = self.thumbnails, self._candidates, self.memory, self._last_video, self.items
        for other in gathered(own)[1:]:
            self._join(*other)

    def _join(
        self,
        thumbnails: Thumbnails,
        candidates: dict[int, list[Candidate]],
        memory: ItemUse | None,
        last_video: int,
        items: np.ndarray,
    ) -> None:
        self.thumbnails.join(thumbnails)
        self._candidates |= candidates
        if memory is None:
            return
        if self.memory is None:
            self.memory = memory
        else:
            self.memory.join(memory)
        if last_video > self._last_video:
            self._last_video, self.items = last_video, items

    def candidates(self, video: int) -> list[Candidate]:
        """Return the candidates of a video, each once."""
        return self._candidates[video]

    def _observe_memory(self, outputs: RememberedFrames, batch: ClipBatch) -> None:
        self.memory = self.memory or ItemUse()
        self.items = outputs["items"].float().cpu().numpy()
        self._last_video = int(batch.video[0])
        self.memory.observe(
            query=outputs["query"],
            similarity=outputs["similarity"],
            # The encoder of a prediction sees the frames before the scored one.
            pictures=batch.frames[:, -2 if batch.frames.shape[1] > 1 else -1],
            video=batch.video,
            frame=batch.frame,
        )

    def _keep_candidates(self, outputs: ScoredFrames, batch: ClipBatch) -> None:
        """Choose each video's candidates among those known and the frames of this batch."""
        measured = torch.stack(
            [outputs["psnr"], outputs["distance"], worst_patch(outputs["patch"])], dim=1
        )
        measures = measured.cpu().double().numpy()
        for video in batch.video.unique().tolist():
            known = self._candidates.get(video, [])
            rows = (batch.video == video).nonzero().flatten().tolist()
            before = np.array([(s.psnr, s.distance, s.patch) for s in known]).reshape(-1, 3)
            chosen = choose_candidates(*np.concatenate([before, measures[rows]]).T)
            self._candidates[video] = [
                known[place]
                if place < len(known)
                else _candidate(outputs, batch, rows[place - len(known)], measures)
                for place in chosen
            ]


def choose_candidates(psnr: np.ndarray, distance: np.ndarray, patch: np.ndarray) -> list[int]:
    """Choose the frames of a video that may have its highest score.

    The published score is linear in PSNR and distance, with weights that follow from their ranges
    over the whole video. For any weights, the highest score lies on the convex hull of all frames'
    values. The frame with the worst patch is a candidate as well.

    Args:
        psnr: (N,), dB.
        distance: (N,).
        patch: (N,), the error of the worst patch.

    Returns:
        Places among the N frames, ascending; of equal frames the first.

    Example:
        >>> psnr, distance = np.array([30, 20, 21, 29]), np.array([0.1, 0.1, 0.4, 0.5])
        >>> choose_candidates(psnr, distance, np.array([7, 1, 1, 1]))  # 0 has the worst patch
        [0, 1, 2, 3]
    """
    hull: list[int] = []
    for place in np.lexsort((-distance, psnr)).tolist():  # from the lowest PSNR on
        if hull and distance[place] <= distance[hull[-1]]:
            continue
        while len(hull) > 1 and _is_inside(hull[-2], hull[-1], place, psnr, distance):
            hull.pop()
        hull.append(place)
    return sorted({*hull, int(patch.argmax())})


def _is_inside(first: int, middle: int, last: int, psnr: np.ndarray, distance: np.ndarray) -> bool:
    """Return whether no weights give the middle one of three frames the highest score."""
    rise = (distance[middle] - distance[first]) * (psnr[last] - psnr[first])
    return bool(rise <= (distance[last] - distance[first]) * (psnr[middle] - psnr[first]))


def _candidate(
    outputs: ScoredFrames, batch: ClipBatch, index: int, measures: np.ndarray
) -> Candidate:
    similarity = _similarity(outputs)
    psnr, distance, patch = measures[index].tolist()
    return Candidate(
        frame=int(batch.frame[index]),
        psnr=psnr,
        distance=distance,
        patch=patch,
        target=_small(outputs["target"][index]),
        output=_small(outputs["output"][index]),
        similarity=None if similarity is None else similarity[index].float().cpu().numpy(),
    )


def _similarity(outputs: ScoredFrames) -> Tensor | None:
    """Return the cosines of queries and items; None without a memory."""
    similarity = cast(dict[str, Tensor], outputs).get("similarity")
    return similarity if similarity is not None and similarity.shape[-1] > 0 else None


def _small(signal: Tensor) -> np.ndarray:
    """Convert values in [−1, 1] to levels 0-255, no larger than the report shows them."""
    height, width = (min(side, CANDIDATE_SIDE) for side in signal.shape[-2:])
    return levels(F.adaptive_avg_pool2d(signal.float(), (height, width)))
