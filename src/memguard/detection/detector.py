"""The detector: encoder, memory and decoder trained together, and tested frame by frame."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from math import isnan
from typing import NamedTuple

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities.enums import GradClipAlgorithmType
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from memguard.data.clips.windows import ClipBatch
from memguard.detection.alarm import Alarm
from memguard.detection.frame_scorer import FrameScorer, RememberedFrames
from memguard.detection.guard import MemoryGuard
from memguard.detection.lookahead import Lookahead, most_at_once
from memguard.model.autoencoder import Autoencoder
from memguard.model.losses import compactness_loss, nearest_items, separateness_loss
from memguard.model.memory.mnad import Memory, MemoryRead, item_use, queries_per_item, read
from memguard.model.shapes import require_shapes
from memguard.scoring import functional as scoring
from memguard.scoring.metrics import FrameTable
from memguard.scoring.protocols import Scoring


class Detector(FrameScorer):
    """Learns what is normal from normal video, and scores frames by what the memory cannot explain.

    Source: Park, Noh, Ham, CVPR 2020. A window of one frame is reconstructed; of a longer one the
    last frame is predicted from those before it.

    Args:
        autoencoder: Encoder and decoder.
        memory: The items between them.
        guard: Decides which test frames are written into the items.
        compactness: Weight λc of the compactness loss.
        separateness: Weight λs of the separateness loss.
        margin: Of the separateness loss.
        optimizer: Makes the optimiser from the parameters.
        scoring: How scores are made of what a test finds.
        channels_last: Whether weights and frames lie in memory with the channels innermost, which
            convolutions in bf16 need to be fast.
        compiled: Whether training steps are compiled, and on a GPU replayed as one graph.

    Attributes:
        begun_from_weights: Whether another training's weights were taken over.
        asked: (M,), how many queries of the last training step each item was the nearest to.
        alarm: What the errors of normal video are like; learned in each validation.
        lookahead: How many frames of a test are painted at once; chosen when the test begins.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        memory: Memory,
        guard: MemoryGuard,
        *,
        compactness: float,
        separateness: float,
        margin: float,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scoring: Scoring,
        channels_last: bool,
        compiled: bool,
    ) -> None:
        super().__init__(scoring)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.autoencoder = autoencoder.to(memory_format=layout)  # type: ignore[call-overload]
        self.memory = memory
        self.guard = guard
        self.alarm = Alarm()
        self.lookahead = Lookahead(frames=1)
        self.compactness = compactness
        self.separateness = separateness
        self.margin = margin
        self.layout = layout
        self.compiled = compiled
        self.begun_from_weights = False
        self.asked = torch.zeros(0)
        self._make_optimizer = optimizer
        self._held_out = FrameTable(["psnr", "regular", "patch"])

    def begin_from(self, learned: Mapping[str, Tensor]) -> None:
        """Take over the weights and items of another training.

        What its guard and alarm found normal was so for those weights, and is left out.

        Args:
            learned: Its ``state_dict``.
        """
        parts = ("autoencoder.", "memory.")
        kept = {name: value for name, value in learned.items() if name.startswith(parts)}
        self.load_state_dict(self.state_dict() | kept)
        self.begun_from_weights = True

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, or what was asked for, with a cosine from the learning rate to 0 over all steps."""
        optimizer = self._make_optimizer(self.autoencoder.parameters())
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = CosineAnnealingLR(optimizer, T_max=max(steps, 1))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients; those of bf16 have no scale, so that a fused optimiser may have them.

        Lightning refuses a fused optimiser under any mixed precision, as it unscales by itself.
        """
        precision = self.trainer.precision_plugin
        if isinstance(precision, MixedPrecision) and precision.scaler is None:
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or "norm")
            Precision.clip_gradients(precision, optimizer, gradient_clip_val or 0.0, algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def split(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Part windows into what goes in and what should come out.

        Args:
            clips: uint8 (B, T, C, H, W).

        Returns:
            The input (B, (T−1)·C, H, W), or (B, C, H, W) where T is 1, and the target
            (B, C, H, W), both with values in [−1, 1].

        Raises:
            ValueError: The shape is another one.
        """
        require_shapes(clips=(clips, "B T C H W"))
        signal = clips.float() / 127.5 - 1
        past = signal[:, :-1] if signal.shape[1] > 1 else signal
        return past.flatten(1, 2).contiguous(memory_format=self.layout), signal[:, -1]

    def forward(self, frames: Tensor, items: Tensor | None = None) -> tuple[Tensor, MemoryRead]:
        """Paint frames.

        Args:
            frames: As :meth:`split` gives its input.
            items: (M, C), what to recall from; by default the trained ones.

        Returns:
            The painted frames (B, C, H, W), values in [−1, 1], and what was read for them.
        """
        features, skips = self.autoencoder.encoder(frames)
        recalled = read(features, self.memory.items if items is None else items)
        return self.autoencoder.decoder(recalled.fused, skips), recalled

    def paint(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Paint the last frame of windows from the trained items.

        Args:
            clips: uint8 (B, T, C, H, W).
        """
        frames, target = self.split(clips)
        output, _recalled = self(frames)
        return output, target

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """One step: read, paint, three losses, then the write."""
        step = self.learn(batch.frames)
        self.asked = step.asked
        # Between these steps Lightning would take milliseconds to note what it does not log.
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        step_number = self.global_step + 1
        last = self.trainer.is_last_batch or step_number == self.trainer.max_steps
        if step_number % every == 0 or last:
            self._log(step)
        return step.loss

    def _log(self, step: "Step") -> None:
        shown = {"loss": step.loss, "psnr": step.found["train/psnr"]}
        self.log_dict(shown, prog_bar=True, logger=False)
        self.log_dict(step.found, sync_dist=True)
        # A number would be taken to the device, and waited for.
        self.log("train/lr", torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"]))

    def learn(self, clips: Tensor) -> "Step":
        """Weigh windows, and write what was read by into the items; the backward pass is left.

        Nothing in here waits for the device, so that a GPU is never idle.

        Args:
            clips: uint8 (B, T, C, H, W).
        """
        step = self._weigh(clips, self.memory.items)
        self.memory.update(step.query, step.similarity)
        return step

    @cached_property
    def _weigh(self) -> Callable[[Tensor, Tensor], "Step"]:
        if not self.compiled:
            return self.losses
        losses = torch.compile(self.losses, fullgraph=True, mode="reduce-overhead")
        # The graph that a GPU replays is made for items at one address.
        items_read = self.memory.items.clone()
        return lambda clips, items: losses(clips, items_read.copy_(items))

    def losses(self, clips: Tensor, items: Tensor) -> "Step":
        """Read, paint and weigh.

        Args:
            clips: uint8 (B, T, C, H, W).
            items: (M, C).
        """
        frames, target = self.split(clips)
        output, recalled = self(frames, items)
        query, similarity = recalled.query, recalled.similarity.detach()
        pixel = F.mse_loss(output.float(), target)
        compactness = compactness_loss(query, items, similarity)
        separateness = separateness_loss(query, items, self.margin, similarity)
        loss = pixel + self.compactness * compactness + self.separateness * separateness
        found = {
            "train/loss": loss,
            "train/pixel": pixel,
            "train/compactness": compactness,
            "train/separateness": separateness,
            "train/psnr": scoring.psnr(output, target).mean(),
        }
        detached = {name: value.detach() for name, value in found.items()}
        asked = queries_per_item(similarity)
        return Step(loss, detached | item_use(asked), query.detach(), similarity, asked)

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Score held-out normal windows, with the items as trained."""
        output, target = self.paint(batch.frames)
        self._held_out.update(
            video=batch.video,
            frame=batch.frame,
            psnr=scoring.psnr(output, target),
            regular=scoring.regular_score(output, target),
            patch=scoring.patch_error(output, target, self.scoring.patch),
        )

    def on_validation_epoch_end(self) -> None:
        """Tell the guard and the alarm what is normal for the model as it is now."""
        frames = self._held_out.rows()  # of all processes, each frame once
        self._held_out.reset()
        self.log("val/psnr", float(frames["psnr"].mean()), prog_bar=True)
        self.guard.calibrate(frames["regular"])
        live = replace(self.scoring, causal=True)
        patches = [frames["patch"][frames["video"] == video] for video in frames["video"].unique()]
        self.alarm.calibrate([live.worst_patch(of_video.float()) for of_video in patches])

    def begin_test(self) -> None:
        """Hand the guard the trained items."""
        self.guard.begin(self.memory.items)
        self.lookahead = Lookahead(most_at_once(self.device))

    def score_frames(self, clips: Tensor, videos: Tensor) -> RememberedFrames:
        """Score windows as if one by one: read, painted, scored and shown to the guard in order.

        Args:
            clips: uint8 (B, T, C, H, W); the windows of one video in order, those that follow on
                them at the next call.
            videos: (B,), the number of each window's video.
        """
        at_once = self.lookahead.frames
        parts = [
            self._score_together(*part)
            for part in zip(clips.split(at_once), videos.split(at_once), strict=True)
        ]
        found = {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
        return {
            "output": found["output"],
            "target": found["target"],
            "psnr": found["psnr"],
            "distance": found["distance"],
            "regular": found["regular"],
            "written": found["written"],
            "patch": scoring.patch_error(found["output"], found["target"], self.scoring.patch),
            "query": found["query"],
            "similarity": found["similarity"],
            "items": self.guard.items(self.guard.memories(videos[-1:]))[0],
        }

    def _score_together(self, clips: Tensor, videos: Tensor) -> dict[str, Tensor]:
        """Score few enough windows to be encoded at once, which does not touch the memory."""
        frames, target = self.split(clips)
        features, skips = self.autoencoder.encoder(frames)
        rounds = list(self._rounds(_Encoded(features, skips, target), self.guard.memories(videos)))
        in_order = torch.tensor([place for places, _ in rounds for place in places]).argsort()
        found = {
            name: _at(torch.cat([part[name] for _, part in rounds]), in_order.tolist())
            for name in rounds[0][1]
        }
        for name in ("query", "similarity"):
            found[name] = found[name].unflatten(1, features.shape[-2:])
        return found | {"target": target}

    def _rounds(
        self, encoded: "_Encoded", memories: Sequence[int]
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Paint a batch's frames, some at once, and write those that the guard lets pass.

        Args:
            encoded: All frames.
            memories: The number of each frame's memory.

        Yields:
            The places of the frames that are done, and what was found of them.
        """
        self.lookahead.begin(memories)
        while places := self.lookahead.next():
            now = [memories[place] for place in places]
            found = self._painted(encoded.at(places), self.guard.items(now))
            written = found["written"].tolist()
            kept = self.lookahead.keep(written)
            writers = [i for i in kept if written[i]]
            self.guard.write(_at(found["query"], writers), [now[i] for i in writers])
            yield [places[i] for i in kept], {k: _at(value, kept) for k, value in found.items()}

    def _painted(self, encoded: "_Encoded", items: Tensor) -> dict[str, Tensor]:
        """Read, paint and score frames, each from a memory of its own: items (B, M, C)."""
        recalled = read(encoded.features, items)
        output = self.autoencoder.decoder(recalled.fused, encoded.skips)
        regular = scoring.regular_score(output, encoded.target)
        return {
            "output": output,
            "psnr": scoring.psnr(output, encoded.target),
            "distance": _distance(recalled, items),
            "regular": regular,
            "written": self.guard.passes(regular),
            "query": recalled.query,
            "similarity": recalled.similarity,
        }

    def on_test_epoch_end(self) -> None:
        """Join the frames of all processes, and say how well the scores tell them apart."""
        super().on_test_epoch_end()
        self._warn_of_idle_guard(int(self.frames["written"].sum()), len(self.frames["frame"]))
        self.log("guard/threshold", self.guard.threshold)

    def _warn_of_idle_guard(self, written: int, total: int) -> None:
        if not self.guard.enabled or 0 < written < total:
            return
        some = "no frame" if written == 0 else f"all {total} frames"
        if isnan(self.guard.threshold):
            why = "guard.threshold=auto finds γ in a validation, and there was none"
            remedy = "a number between"
        else:
            why = f"γ = {self.guard.threshold:.4g} does not part normal from anomalous here"
            remedy = "a number between, or to auto with another guard.quantile"
        regular = self.frames["regular"]
        pl.utilities.rank_zero_warn(
            f"The guard let {some} into the memory: {why}. The regular scores go from "
            f"{regular.min():.4g} to {regular.max():.4g}: set guard.threshold to {remedy}."
        )


class Step(NamedTuple):
    """What a training step finds.

    Attributes:
        loss: The total to descend on.
        found: What there is to log: numbers on the device.
        query: (B, K, C), unit rows, without gradient.
        similarity: (B, K, M), the cosine of each query with each item.
        asked: (M,), how many queries each item is the nearest to.
    """

    loss: Tensor
    found: dict[str, Tensor]
    query: Tensor
    similarity: Tensor
    asked: Tensor


class _Encoded(NamedTuple):
    """Frames as the encoder leaves them: what there is before the memory is looked into."""

    features: Tensor
    skips: list[Tensor]
    target: Tensor

    def at(self, places: Sequence[int]) -> "_Encoded":
        """Those at these places."""
        skips = [_at(skip, places) for skip in self.skips]
        return _Encoded(_at(self.features, places), skips, _at(self.target, places))


def _distance(recalled: MemoryRead, items: Tensor) -> Tensor:
    """How far each frame is from its memory, (B,); 0 where there is none."""
    query, similarity = recalled.query, recalled.similarity
    if items.shape[-2] == 0:
        return query.new_zeros(len(query))
    return scoring.feature_distance(query, nearest_items(query, items, 1, similarity)[:, :, 0])


def _at(values: Tensor, places: Sequence[int]) -> Tensor:
    """The rows at these places; where they lie side by side, without a copy."""
    if places and list(places) == list(range(places[0], places[0] + len(places))):
        return values[places[0] : places[0] + len(places)]
    return values[list(places)]
