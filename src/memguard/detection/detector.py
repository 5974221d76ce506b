"""The detector: train encoder, memory and decoder together, and validate them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from memguard import scoring
from memguard.data.clips.windows import ClipBatch
from memguard.detection.alarm import Alarm, OptionalAlarm
from memguard.detection.frame_scorer import FrameScorer, RememberedFrames
from memguard.detection.guard import MemoryGuard
from memguard.detection.guarded_scoring import GuardedScoring
from memguard.detection.held_out import HeldOut
from memguard.detection.lookahead import Lookahead, most_at_once
from memguard.detection.optimisation import Step, clip_unscaled, scheduled
from memguard.detection.reference import Reference
from memguard.model.autoencoder import Autoencoder
from memguard.model.memory.base import BaseMemory, MemoryRead, item_use, queries_per_item
from memguard.model.schedules import Schedule
from memguard.model.shapes import require_shapes
from memguard.model.total_loss import TotalLoss, readable
from memguard.scoring.protocols import ScoreConfig


class Detector(FrameScorer):
    """Learn normal video, and score frames by what the memory cannot explain.

    A window of one frame is reconstructed; the last frame of a longer window is predicted from the
    frames before it. :mod:`memguard.detection.guarded_scoring` has the test loop.

    Source: Park, Noh, Ham, CVPR 2020.

    Args:
        autoencoder: Encoder and decoder.
        memory: The items between them, of any kind.
        guard: Decides which test frames update the items.
        loss: The sum of terms that a training step minimises.
        optimizer: Builds the optimizer from the parameters.
        schedule: Changes the learning rate; None leaves it as it is.
        scoring: Turns the values of a test into scores.
        denoiser: Denoises windows before the encoder sees them; None leaves them as they are.
        channels_last: Store weights and frames with the channels innermost; see
            :func:`~memguard.model.layout.channels_last`.
        compiled: Compile training steps, and on a GPU replay them as one graph.

    Attributes:
        begun_from_weights: Whether the weights of another training were loaded.
        item_counts: (M,), the number of queries nearest to each item in the last training step.
        alarm: The distribution of errors of normal video; each validation learns it again.
        standing: That of the differences from a slow background; a calibration learns it.
        trained_fps: Frames per second of the training videos; None if unknown.
        reference: The look of normal pictures, learned likewise.
        guarded_scoring: The test loop; :meth:`begin_test` builds it.

    Example:
        >>> from memguard.model.memory import Memory
        >>> from memguard.model.schedules import cosine
        >>> from memguard.model.total_loss import published_loss
        >>> detector = Detector(
        ...     Autoencoder(channels=1, width=4, features=8, past=4, skip_connections=True),
        ...     Memory(size=5, dim=8),
        ...     MemoryGuard(threshold=0.01, quantile=0.5, scope="dataset", enabled=True),
        ...     loss=published_loss(compactness=0.1, separateness=0.1),
        ...     optimizer=torch.optim.Adam,
        ...     schedule=Schedule(cosine),
        ...     scoring=ScoreConfig("published", 0.6, (0.25, 0.25), smoothing=1.0, causal=False),
        ...     channels_last=False, compiled=False,
        ... )
        >>> clips = torch.randint(0, 256, (2, 5, 1, 16, 16), dtype=torch.uint8)
        >>> detector.learn(clips).loss.backward()
        >>> output, target = detector.predict(clips)
        >>> output.shape, target.shape
        (torch.Size([2, 1, 16, 16]), torch.Size([2, 1, 16, 16]))
    """

    guarded_scoring: GuardedScoring
    # Building from a checkpoint's settings is above this room: training/trained.py sets it.
    restore: ClassVar[Callable[[Path, str | Sequence[str]], "Detector"]]

    def __init__(
        self,
        autoencoder: Autoencoder,
        memory: BaseMemory,
        guard: MemoryGuard,
        *,
        loss: TotalLoss,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Schedule | None,
        scoring: ScoreConfig,
        denoiser: nn.Module | None = None,
        channels_last: bool,
        compiled: bool,
    ) -> None:
        super().__init__(scoring)
        self.autoencoder = autoencoder
        self.lay_out(channels_last=channels_last)
        self.memory = memory
        self.denoiser = nn.Identity() if denoiser is None else denoiser
        self.guard = guard
        self.alarm, self.standing = Alarm(), OptionalAlarm()
        self.reference = Reference()
        self.loss = loss
        self.compiled = compiled
        self.begun_from_weights = False
        self.trained_fps: float | None = None
        self.item_counts = torch.zeros(0)
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.held_out = HeldOut(scoring)
        self.register_load_state_dict_post_hook(_leave_terms_as_built)

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Path | str,
        map_location: torch.device | str | None = None,
        *,
        trust: str | Sequence[str] = (),
    ) -> "Detector":
        """Load a trained detector; its checkpoint says what it is made of.

        Args:
            checkpoint_path: The ``checkpoints/last.ckpt`` of a training run.
            map_location: The device to move it to.
            trust: Packages of your own whose classes the checkpoint may name.

        Raises:
            CheckpointError: If the file cannot be read, or names other classes.
        """
        detector = cls.restore(Path(checkpoint_path), trust)
        return detector if map_location is None else detector.to(map_location)

    def lay_out(self, *, channels_last: bool) -> None:
        """Store weights and frames with the channels innermost, or else outermost."""
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.autoencoder.to(memory_format=self.layout)  # type: ignore[call-overload]

    def begin_from(self, learned: Mapping[str, Tensor]) -> None:
        """Load the weights and items of another training.

        Its guard, alarm and reference are left out, because they describe the errors of those
        weights, and the video of that training.

        Args:
            learned: The ``state_dict`` of the other training.
        """
        parts = ("autoencoder.", "memory.")
        weights = {name: value for name, value in learned.items() if name.startswith(parts)}
        self.load_state_dict(self.state_dict() | weights)
        self.begun_from_weights = True

    def learned(self) -> Iterator[nn.Parameter]:
        """Yield what the optimizer learns: weights, and items that no query writes."""
        return chain(self.autoencoder.parameters(), self.memory.parameters())

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer, and the schedule of its learning rate.

        Raises:
            MisconfigurationException: If the schedule needs the end of a training that has none.
        """
        optimizer = self.make_optimizer(self.learned())
        return scheduled(optimizer, self.schedule, self.trainer)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, also for a fused optimizer with bf16."""
        precision = self.trainer.precision_plugin
        if isinstance(precision, MixedPrecision) and precision.scaler is None:
            clip_unscaled(precision, optimizer, gradient_clip_val, gradient_clip_algorithm)
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def split(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Denoise windows, and split them into the input and the target of the network.

        The target is denoised as well: the PSNR would measure the noise of the camera otherwise.

        Args:
            clips: uint8 (B, T, C, H, W).

        Returns:
            The input (B, (T−1)·C, H, W), or (B, C, H, W) for T = 1, and the target (B, C, H, W),
            both with values in [−1, 1].

        Raises:
            ValueError: If ``clips`` has another shape.
        """
        require_shapes(clips=(clips, "B T C H W"))
        signal = self.denoiser(clips.float() / 127.5 - 1)
        past = signal[:, :-1] if signal.shape[1] > 1 else signal
        return past.flatten(1, 2).contiguous(memory_format=self.layout), signal[:, -1]

    def forward(self, frames: Tensor, items: Tensor | None = None) -> tuple[Tensor, MemoryRead]:
        """Predict or reconstruct frames.

        Args:
            frames: The input, as :meth:`split` returns it.
            items: (M, C), the items to read; by default the trained ones.

        Returns:
            The frames (B, C, H, W), values in [−1, 1], and the result of reading the memory.
        """
        features, skips = self.autoencoder.encoder(frames)
        recalled: MemoryRead = self.memory(features, items)
        return self.autoencoder.decoder(recalled.fused, self.memory.read_skips(skips)), recalled

    def predict(self, clips: Tensor) -> tuple[Tensor, Tensor]:
        """Predict or reconstruct the last frame of windows from the trained items.

        Args:
            clips: uint8 (B, T, C, H, W).

        Returns:
            The frames and the targets, (B, C, H, W) each, values in [−1, 1].
        """
        frames, target = self.split(clips)
        output, _read = self(frames)
        return output, target

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Predict, compute the losses, and update the memory."""
        step = self.learn(batch.frames)
        self.item_counts = step.item_counts
        # On other steps Lightning would spend milliseconds on values that it does not log.
        every: int = self.trainer.log_every_n_steps  # type: ignore[attr-defined]
        step_number = self.global_step + 1
        last = self.trainer.is_last_batch or step_number == self.trainer.max_steps
        if step_number % every == 0 or last:
            self._log(step)
        if self.trainer.is_last_batch:
            self.memory.end_epoch()
        return step.loss

    def _log(self, step: Step) -> None:
        shown = {"loss": step.loss, "psnr": step.metrics["train/psnr"]}
        self.log_dict(shown, prog_bar=True, logger=False)
        self.log_dict(step.metrics, sync_dist=True)
        # Lightning would copy a number to the device, and wait for it.
        self.log("train/lr", torch.tensor(self.trainer.optimizers[0].param_groups[0]["lr"]))

    def learn(self, clips: Tensor) -> Step:
        """Compute the losses of windows, and update the memory; the caller runs the backward pass.

        No line waits for the device, which keeps a GPU busy.

        Args:
            clips: uint8 (B, T, C, H, W).
        """
        step = self._losses(clips, self.memory.items)
        self.memory.update(step.query, step.similarity)
        return step

    @cached_property
    def _losses(self) -> Callable[[Tensor, Tensor], Step]:
        if not self.compiled:
            return self.losses
        losses = torch.compile(self.losses, fullgraph=True, mode="reduce-overhead")
        if not self.memory.writes:
            return losses
        # A GPU replays the graph with items at a fixed address.
        items_read = self.memory.items.clone()
        return lambda clips, items: losses(clips, items_read.copy_(items))

    def losses(self, clips: Tensor, items: Tensor) -> Step:
        """Predict the last frame of windows, and compute the losses.

        Args:
            clips: uint8 (B, T, C, H, W).
            items: (M, C), the items to read.
        """
        frames, target = self.split(clips)
        output, recalled = self(frames, items)
        loss, terms = self.loss(**readable(output, target, recalled, items))
        metrics = {
            "train/loss": loss,
            **{f"train/{name}": term for name, term in terms.items()},
            "train/psnr": scoring.psnr(output, target).mean(),
        }
        detached = {name: value.detach() for name, value in metrics.items()}
        query, similarity = recalled.query.detach(), recalled.similarity.detach()
        counts = queries_per_item(similarity)
        return Step(loss, detached | item_use(counts, items), query, similarity, counts)

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Score held-out normal windows with the trained items."""
        output, target = self.predict(batch.frames)
        self.held_out.add(batch, output, target)

    def on_validation_epoch_end(self) -> None:
        """Calibrate the guard and the alarm for the present weights, and learn the reference."""
        psnr = self.held_out.calibrate(self.guard, self.alarm, self.reference)
        self.log("val/psnr", psnr, prog_bar=True)

    def begin_test(self) -> None:
        """Start from the trained items."""
        self.guard.begin(self.memory)
        self.guarded_scoring = GuardedScoring(
            self.autoencoder,
            self.memory,
            self.guard,
            Lookahead(most_at_once(self.device)),
            self.scoring.sizes,
        )

    def score_frames(self, clips: Tensor, videos: Tensor) -> RememberedFrames:
        """Score windows and update the memory; see :mod:`memguard.detection.guarded_scoring`.

        Args:
            clips: uint8 (B, T, C, H, W). The windows of one video are in order, and the next call
                continues them.
            videos: (B,), the number of each window's video.
        """
        frames, target = self.split(clips)
        return self.guarded_scoring.score(frames, target, videos)

    def on_test_epoch_end(self) -> None:
        """Join the frames of all processes, and log the metrics and γ."""
        super().on_test_epoch_end()
        if warning := self.guard.idle_warning(self.frames["regular"], self.frames["written"]):
            pl.utilities.rank_zero_warn(warning)
        self.log("guard/threshold", self.guard.threshold)


def _leave_terms_as_built(_detector: nn.Module, unfit: Any) -> None:
    """Load weights of a training that had other terms of the loss."""
    for names in (unfit.missing_keys, unfit.unexpected_keys):
        names[:] = [name for name in names if not name.startswith("loss.")]
