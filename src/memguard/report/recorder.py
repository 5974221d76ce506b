"""Evidence: what is kept of a test while it runs, for the report to show afterwards."""

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
from memguard.report.pictures import Size, fitted, photograph
from memguard.report.plots import levels

THUMBNAIL_SIDE = 144
THUMBNAILS_BYTES = 2_500_000
SUSPECT_SIDE = 128


class Thumbnails:
    """Small pictures of a test's frames, every so many of them, within a given size in all.

    Whenever they outgrow it, every other one goes: what is left is spread evenly over the frames,
    however many there turn out to be.

    Args:
        limit: Bytes of all addresses together.
    """

    def __init__(self, limit: int = THUMBNAILS_BYTES) -> None:
        self.limit = limit
        self.step = 1
        self._bytes = 0
        self._addresses: dict[tuple[int, int], str] = {}

    def wants(self, frame: int) -> bool:
        """Whether a frame of this number is one of those that are kept."""
        return frame % self.step == 0

    def add(self, video: int, frame: int, picture: np.ndarray, size: Size) -> None:
        """Keep a frame, uint8 (C, H, W), in this size."""
        address = photograph(picture, size, quality=60)
        self._addresses[video, frame] = address
        self._bytes += len(address)
        while self._bytes > self.limit and len(self._addresses) > 1:
            self._thin_out(2 * self.step)

    def join(self, other: "Thumbnails") -> None:
        """Take in those of other videos; what is left is as if one had kept all of them."""
        self._addresses |= other._addresses
        self._thin_out(max(self.step, other.step))
        while self._bytes > self.limit and len(self._addresses) > 1:
            self._thin_out(2 * self.step)

    def _thin_out(self, step: int) -> None:
        self.step = step
        self._addresses = {at: a for at, a in self._addresses.items() if self.wants(at[1])}
        self._bytes = sum(map(len, self._addresses.values()))

    def of_video(self, video: int) -> dict[int, str]:
        """Addresses by frame number."""
        return {frame: address for (of, frame), address in self._addresses.items() if of == video}


@dataclass(frozen=True)
class Suspect:
    """A frame that stands out in its video.

    Attributes:
        frame: Its 0-based number.
        psnr: dB.
        distance: As in the score.
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


class Evidence(pl.Callback):
    """Keeps what a report shows of a test: thumbnails, the use of the memory, and suspects.

    No score is known before a video's end. So it keeps of each video the few frames that may turn
    out to have the highest one: see :func:`candidates`. What it holds grows with the number of
    videos, and not with their length. Where several processes test, the first one has what all of
    them kept once the test has ended.

    Attributes:
        thumbnails: Of frames, by video.
        sizes: The size of each video's thumbnails.
        memory: What the items were used for; None without any.
        items: (M, C), as the test left them.
        predicts: Whether frames were predicted from those before them, and not reconstructed.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.thumbnails = Thumbnails()
        self.sizes: dict[int, Size] = {}
        self.memory: ItemUse | None = None
        self.items = np.empty((0, 0))
        self._last_video = -1
        self.predicts = False
        self._suspects: dict[int, list[Suspect]] = {}

    def on_test_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Forget the last test, and note the shape of each video's pictures."""
        self._forget()
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
        """Take in successive frames of one video, or of several."""
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
        self._keep_suspects(outputs, batch)

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Join what all processes kept, in the first."""
        for other in gathered(self)[1:]:
            self._join(other)

    def _join(self, other: "Evidence") -> None:
        self.thumbnails.join(other.thumbnails)
        self._suspects |= other._suspects
        if other.memory is None:
            return
        if self.memory is None:
            self.memory = other.memory
        else:
            self.memory.join(other.memory)
        if other._last_video > self._last_video:
            self._last_video, self.items = other._last_video, other.items

    def suspects(self, video: int) -> list[Suspect]:
        """Give a video's frames that stand out, each once."""
        return self._suspects[video]

    def _observe_memory(self, outputs: RememberedFrames, batch: ClipBatch) -> None:
        self.memory = self.memory or ItemUse()
        self.items = outputs["items"].float().cpu().numpy()
        self._last_video = int(batch.video[0])
        self.memory.observe(
            query=outputs["query"],
            similarity=outputs["similarity"],
            # A prediction is made from the frames before the one that is scored.
            pictures=batch.frames[:, -2 if batch.frames.shape[1] > 1 else -1],
            video=batch.video,
            frame=batch.frame,
        )

    def _keep_suspects(self, outputs: ScoredFrames, batch: ClipBatch) -> None:
        """Keep of each video the candidates among those known and those of this batch."""
        measured = torch.stack(
            [outputs["psnr"], outputs["distance"], outputs["patch"].flatten(1).amax(dim=1)], dim=1
        )
        measures = measured.double().cpu().numpy()
        for video in batch.video.unique().tolist():
            known = self._suspects.get(video, [])
            rows = (batch.video == video).nonzero().flatten().tolist()
            before = np.array([(s.psnr, s.distance, s.patch) for s in known]).reshape(-1, 3)
            chosen = candidates(*np.concatenate([before, measures[rows]]).T)
            self._suspects[video] = [
                known[place]
                if place < len(known)
                else _suspect(outputs, batch, rows[place - len(known)], measures)
                for place in chosen
            ]


def candidates(psnr: np.ndarray, distance: np.ndarray, patch: np.ndarray) -> list[int]:
    """Choose the frames of a video that may have its highest score.

    The published score is linear in PSNR and distance, but its weights follow from their ranges,
    which are known only at the video's end. Whatever they are, the highest score lies on the convex
    hull of all frames' values. The frame with the worst patch comes with them.

    Args:
        psnr: (N,), dB.
        distance: (N,).
        patch: (N,), the error of the worst patch.

    Returns:
        Places among the N frames, ascending; the first of frames that are alike.

    Example:
        >>> psnr, distance = np.array([30, 20, 21, 29]), np.array([0.1, 0.1, 0.4, 0.5])
        >>> candidates(psnr, distance, np.array([7, 1, 1, 1]))  # 0 has the worst patch
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
    """Whether no weights give the middle one of three frames the highest score."""
    rise = (distance[middle] - distance[first]) * (psnr[last] - psnr[first])
    return bool(rise <= (distance[last] - distance[first]) * (psnr[middle] - psnr[first]))


def _suspect(outputs: ScoredFrames, batch: ClipBatch, index: int, measures: np.ndarray) -> Suspect:
    similarity = _similarity(outputs)
    psnr, distance, patch = measures[index].tolist()
    return Suspect(
        frame=int(batch.frame[index]),
        psnr=psnr,
        distance=distance,
        patch=patch,
        target=_small(outputs["target"][index]),
        output=_small(outputs["output"][index]),
        similarity=None if similarity is None else similarity[index].float().cpu().numpy(),
    )


def _similarity(outputs: ScoredFrames) -> Tensor | None:
    """How alike queries and items are, where there are any."""
    similarity = cast(dict[str, Tensor], outputs).get("similarity")
    return similarity if similarity is not None and similarity.shape[-1] > 0 else None


def _small(signal: Tensor) -> np.ndarray:
    """A picture with values in [−1, 1] as levels 0-255, no larger than it will be shown."""
    height, width = (min(side, SUSPECT_SIDE) for side in signal.shape[-2:])
    return levels(F.adaptive_avg_pool2d(signal.float(), (height, width)))
