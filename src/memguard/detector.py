"""The detector: encoder, memory and decoder trained together, and tested frame by frame."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import cast

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from memguard import scoring
from memguard.alarm import Alarm
from memguard.data.windows import ClipBatch
from memguard.guard import MemoryGuard
from memguard.metrics import FrameTable
from memguard.model.autoencoder import Autoencoder
from memguard.model.losses import compactness_loss, nearest_items, separateness_loss
from memguard.model.memory import Memory, MemoryRead, read
from memguard.protocols import Scoring
from memguard.scorer import FrameScorer, RememberedFrames


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

    Attributes:
        alarm: What the errors of normal video are like; learned in each validation.
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
    ) -> None:
        super().__init__(scoring)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.autoencoder = autoencoder.to(memory_format=layout)  # type: ignore[call-overload]
        self.memory = memory
        self.guard = guard
        self.alarm = Alarm()
        self.compactness = compactness
        self.separateness = separateness
        self.margin = margin
        self.layout = layout
        self._make_optimizer = optimizer
        self._held_out = FrameTable(["psnr", "regular", "patch"])

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam, or what was asked for, with a cosine from the learning rate to 0 over all steps."""
        optimizer = self._make_optimizer(self.autoencoder.parameters())
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = CosineAnnealingLR(optimizer, T_max=max(steps, 1))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def split(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Part windows into what goes in and what should come out.

        Args:
            clips: uint8 (B, T, C, H, W).

        Returns:
            The input (B, (T−1)·C, H, W), or (B, C, H, W) where T is 1, and the target
            (B, C, H, W), both with values in [−1, 1].
        """
        signal = clips.float() / 127.5 - 1
        past = signal[:, :-1] if signal.shape[1] > 1 else signal
        return past.flatten(1, 2).contiguous(memory_format=self.layout), signal[:, -1]

    def forward(self, frames: Tensor) -> tuple[Tensor, MemoryRead]:
        """Paint frames from the trained items.

        Args:
            frames: As :meth:`split` gives its input.

        Returns:
            The painted frames (B, C, H, W), values in [−1, 1], and what was read for them.
        """
        features, skips = self.autoencoder.encoder(frames)
        recalled = self.memory(features)
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
        frames, target = self.split(batch.frames)
        output, recalled = self(frames)
        items = self.memory.items
        pixel = F.mse_loss(output.float(), target)
        compactness = compactness_loss(recalled.query, items)
        separateness = separateness_loss(recalled.query, items, self.margin)
        loss = pixel + self.compactness * compactness + self.separateness * separateness
        self.memory.update(recalled.query)

        psnr = scoring.psnr(output.detach(), target).mean()
        self.log_dict({"loss": loss, "psnr": psnr}, prog_bar=True, logger=False)
        self.log_dict(
            {
                "train/loss": loss,
                "train/pixel": pixel,
                "train/compactness": compactness,
                "train/separateness": separateness,
                "train/psnr": psnr,
                "train/lr": self.trainer.optimizers[0].param_groups[0]["lr"],
                **item_use(recalled.similarity),
            },
            sync_dist=True,
        )
        return loss

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
        frames = self._held_out.compute()  # of all processes, each frame once
        self._held_out.reset()
        self.log("val/psnr", frames["psnr"].mean(), prog_bar=True)
        self.guard.calibrate(frames["regular"])
        live = replace(self.scoring, causal=True)
        patches = [frames["patch"][frames["video"] == video] for video in frames["video"].unique()]
        self.alarm.calibrate([live.worst_patch(of_video.float()) for of_video in patches])

    def begin_test(self) -> None:
        """Hand the guard the trained items."""
        self.guard.begin(self.memory.items)

    def begin_video(self) -> None:
        """Tell the guard."""
        self.guard.begin_video()

    def score_frames(self, clips: Tensor) -> RememberedFrames:
        """Score successive windows of one video, in order.

        The encoder does not see the memory, so all are encoded at once; then each is read, painted,
        scored and shown to the guard before the next.

        Args:
            clips: uint8 (B, T, C, H, W).
        """
        frames, target = self.split(clips)
        features, skips = self.autoencoder.encoder(frames)
        steps = [
            self._score_frame(features[i : i + 1], [s[i : i + 1] for s in skips], target[i : i + 1])
            for i in range(len(target))
        ]
        found = {name: torch.cat([step[name] for step in steps]) for name in steps[0]}
        return cast(RememberedFrames, found | {"target": target, "items": self.guard.items})

    def _score_frame(
        self, features: Tensor, skips: list[Tensor], target: Tensor
    ) -> dict[str, Tensor]:
        """Read, paint and score one frame, then let the guard write it; all with B = 1."""
        items = self.guard.items
        recalled = read(features, items)
        output = self.autoencoder.decoder(recalled.fused, skips)
        regular = scoring.regular_score(output, target)
        written = self.guard.observe(regular, recalled.query[0])
        return {
            "output": output,
            "psnr": scoring.psnr(output, target),
            "distance": _distance(recalled.query, items),
            "regular": regular,
            "written": torch.tensor([written], device=target.device),
            "query": recalled.query.unflatten(1, features.shape[-2:]),
            "similarity": recalled.similarity.unflatten(1, features.shape[-2:]),
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
        pl.utilities.rank_zero_warn(
            f"The guard let {some} into the memory: γ = {self.guard.threshold:.4g} does not part "
            f"normal from anomalous here. The regular scores go from "
            f"{self.frames['regular'].min():.4g} to {self.frames['regular'].max():.4g}: set "
            f"guard.threshold to a number between, or to auto with another guard.quantile."
        )


def _distance(query: Tensor, items: Tensor) -> Tensor:
    """How far each frame is from the memory, (B,); 0 where there is none."""
    if len(items) == 0:
        return query.new_zeros(len(query))
    return scoring.feature_distance(query, nearest_items(query, items, 1)[:, :, 0])


def item_use(similarity: Tensor) -> dict[str, Tensor]:
    """How the queries of a batch share the items.

    Args:
        similarity: (B, K, M), the cosine of each query with each item.

    Returns:
        ``memory/used``, the share of items that any query is nearest to, and ``memory/perplexity``,
        how many items are in use when each counts by its share of queries: 1 to M. Nothing where
        there are no items.
    """
    if similarity.shape[-1] == 0:
        return {}
    share = F.one_hot(similarity.argmax(dim=-1), similarity.shape[-1]).float().mean(dim=(0, 1))
    return {
        "memory/used": share.gt(0).float().mean(),
        "memory/perplexity": torch.special.entr(share).sum().exp(),
    }
