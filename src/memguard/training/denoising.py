"""Train a denoiser on the frames of a camera: noise is added to them, and they are the target."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from memguard.config.schema import DenoiserSettings
from memguard.config.trainer import misconfiguration_reported
from memguard.config.trust import trust_of
from memguard.config.validation import validate_by
from memguard.data.clips.windows import ClipBatch
from memguard.detection.optimisation import scheduled
from memguard.model.denoiser import with_blind_noise, with_noise
from memguard.model.losses import pixel_loss
from memguard.model.schedules import Schedule
from memguard.report.dashboard.figure_sink import closing
from memguard.scoring import psnr
from memguard.training.build import build, build_benchmark, build_schedule
from memguard.training.callbacks.processes import lost_process_reported
from memguard.training.checkpoints import damage_reported, read_denoiser, require_resumable
from memguard.training.provenance import Provenance
from memguard.training.run_folder import begin_run
from memguard.training.trainer import (
    begin_training,
    build_trainer,
    ending_callbacks,
    logged,
    write_results,
)

VALIDATED = (15.0, 25.0, 50.0)  # grey levels of 255, as papers on denoising have them


def train_denoiser(config: DictConfig, folder: Path | str) -> dict[str, float]:
    """Train a denoiser, and write the run folder.

    Args:
        config: As ``conf/train_denoiser.yaml`` composes it.
        folder: The run folder, made where it is missing.

    Returns:
        The content of ``metrics.json``.

    Raises:
        UserError: The configuration, a video or the checkpoint cannot be used, or the folder holds
            the results of another run.
    """
    run = begin_run(config, folder, in_sweep=False)
    validate_by(DenoiserSettings, config)
    provenance = Provenance(config.seed)
    begin_training(config)
    trust = trust_of(config)
    training = _training(config)
    benchmark = replace(build_benchmark(config, trust), test=())
    datamodule = build("data", config.data, trust, benchmark=benchmark)
    trainer = build_trainer(config, list(ending_callbacks(config)), run)
    lost = lost_process_reported(run.folder / "checkpoints" / "last.ckpt")
    with closing(trainer.loggers), misconfiguration_reported():
        with lost, damage_reported(config.checkpoint):
            trainer.fit(training, datamodule, ckpt_path=config.checkpoint, weights_only=True)
        found = logged(trainer)
        return write_results(trainer, datamodule, config, provenance, run.folder, found)


def _training(config: DictConfig) -> "DenoiserTraining":
    """Build what the training begins with, new or with the weights of another one."""
    if config.checkpoint:
        require_resumable(Path(config.checkpoint), config)
    trust = trust_of(config)
    training = DenoiserTraining(
        build("denoise", config.denoise, trust),
        optimizer=build("optimizer", config.optimizer, trust),
        schedule=build_schedule(config.scheduler, trust),
        seed=config.seed,
    )
    if config.denoise.weights and not config.checkpoint:
        training.load_state_dict(read_denoiser(Path(config.denoise.weights), config))
    return training


class DenoiserTraining(pl.LightningModule):
    """Learn to remove noise of unknown strength from frames.

    The camera's frames are both input, with Gaussian noise, and target, so no noisy pictures are
    needed. The noise of a step depends on the seed, the step and the process alone.

    Args:
        network: Takes frames (B, C, H, W) with values in [−1, 1], and returns as many.
        optimizer: Builds the optimizer from the parameters.
        schedule: Changes the learning rate; None leaves it as it is.
        seed: Seed of the noise.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        schedule: Schedule | None,
        seed: int,
    ) -> None:
        super().__init__()
        # Weights are named as in a detector: denoise.weights takes the checkpoint of either.
        self.denoiser = nn.ModuleDict({"network": network})
        self.make_optimizer = optimizer
        self.schedule = schedule
        self.seed = seed

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Build the optimizer, and the schedule of its learning rate."""
        return scheduled(self.make_optimizer(self.parameters()), self.schedule, self.trainer)

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Denoise frames with noise of random strength, and compare them with the frames."""
        frames = _signal(batch)
        noisy = with_blind_noise(frames, self._generator(self.global_step))
        denoised = self(noisy)
        loss = pixel_loss(denoised, frames)
        level = psnr(denoised.detach(), frames).mean()
        self.log_dict({"loss": loss, "psnr": level}, prog_bar=True, logger=False)
        self.log_dict({"train/loss": loss.detach(), "train/psnr": level}, sync_dist=True)
        return loss

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """Measure the PSNR of denoised frames for three strengths, with the same noise each time.

        ``val/psnr`` is their mean.
        """
        frames = _signal(batch)
        found = {}
        for strength in VALIDATED:
            generator = self._generator(batch_idx, int(strength))
            noisy = with_noise(frames, frames.new_full((len(frames),), strength), generator)
            found[f"val/psnr_{strength:.0f}"] = psnr(self(noisy).clamp(-1, 1), frames).mean()
        found["val/psnr"] = torch.stack(list(found.values())).mean()
        self.log_dict(found, sync_dist=True, batch_size=len(frames))

    def forward(self, noisy: Tensor) -> Tensor:
        """Denoise frames, (B, C, H, W), values in [−1, 1]."""
        denoised: Tensor = self.denoiser["network"](noisy)
        return denoised.float()

    def _generator(self, *place: int) -> torch.Generator:
        """Make the generator of a place in the training, on the device of the frames."""
        seeds = np.random.SeedSequence([self.seed, self.global_rank, *place])
        return torch.Generator(self.device).manual_seed(int(seeds.generate_state(1)[0]))


def _signal(batch: ClipBatch) -> Tensor:
    """Return the last frame of each window, (B, C, H, W), values in [−1, 1]."""
    return batch.frames[:, -1].float() / 127.5 - 1
