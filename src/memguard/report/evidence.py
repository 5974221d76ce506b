"""Evidence: what is kept of a test while it runs, for the report to show afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import numpy as np
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.data.datamodule import ClipDataModule
from memguard.data.windows import ClipBatch
from memguard.processes import gathered
from memguard.report.figures import levels
from memguard.report.memory import ItemUse
from memguard.report.pictures import Size, fitted, photograph
from memguard.scorer import RememberedFrames, ScoredFrames

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
        measure: By how much it stands out, in the units of whatever it was chosen by.
        psnr: dB.
        target: uint8 (C, H, W), what was there.
        output: uint8 (C, H, W), what was painted.
        similarity: (H, W, M), the cosine of each query with each item; None without a memory.
    """

    frame: int
    measure: float
    psnr: float
    target: np.ndarray
    output: np.ndarray
    similarity: np.ndarray | None


class Evidence(pl.Callback):
    """Keeps what a report shows of a test: thumbnails, the use of the memory, and suspects.

    Of each video it keeps the frame that is painted worst, the one with the worst patch and the one
    farthest from the memory, as no score is known before the video's end. So what it holds grows
    with the number of videos, and not with their length. Where several processes test, the first
    one has what all of them kept once the test has ended.

    Attributes:
        thumbnails: Of frames, by video.
        sizes: The size of each video's thumbnails.
        memory: What the items were used for; None without any.
        items: (M, C), as the test left them.
    """

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.thumbnails = Thumbnails()
        self.sizes: dict[int, Size] = {}
        self.memory: ItemUse | None = None
        self.items = np.empty((0, 0))
        self._last_video = -1
        self._suspects: dict[tuple[int, str], Suspect] = {}

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
        found = [suspect for (of, _), suspect in self._suspects.items() if of == video]
        return list({suspect.frame: suspect for suspect in found}.values())

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
        """Replace those of each video that this batch has worse frames than."""
        for reason, measures in _reasons(outputs):
            for video in batch.video.unique().tolist():
                elsewhere = batch.video != video
                index = int(measures.masked_fill(elsewhere, -torch.inf).argmax())
                known = self._suspects.get((video, reason))
                if known is None or float(measures[index]) > known.measure:
                    self._suspects[video, reason] = _suspect(outputs, batch, index, measures)


def _reasons(outputs: ScoredFrames) -> Iterator[tuple[str, Tensor]]:
    """By what a frame may stand out; the higher, the more: (B,) each."""
    yield "psnr", -outputs["psnr"]
    yield "distance", outputs["distance"]
    yield "patch", outputs["patch"].flatten(1).amax(dim=1)


def _suspect(outputs: ScoredFrames, batch: ClipBatch, index: int, measures: Tensor) -> Suspect:
    similarity = _similarity(outputs)
    return Suspect(
        frame=int(batch.frame[index]),
        measure=float(measures[index]),
        psnr=float(outputs["psnr"][index]),
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
