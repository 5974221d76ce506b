"""Measure a denoiser, and detection with it: ``experiments/denoiser.py DENOISER DETECTOR DATA``.

DENOISER is the checkpoint of ``python -m memguard.train_denoiser dataset=ped2``, DETECTOR that of a
training on Ped2 without a denoiser, and DATA holds ped2/. Noise is added to the network's frames.

- Held-out frames of the training videos with Gaussian noise: the PSNR of the noisy frames, of
  OpenCV's non-local means, which knows the strength, and of the denoiser, which does not.
- The test videos with the noise of a sensor: the AUROC of the detector with and without the
  denoiser before it.

``runs.csv`` gets a row for each: ``denoiser``, ``frames_METHOD_STRENGTH`` and
``ped2_NOISE_METHOD_seedN``. A second call measures only what is missing.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
import pytorch_lightning as pl
import torch
from omegaconf import DictConfig, OmegaConf
from record import add
from recorded import runs
from torch import Tensor, nn

from memguard.config.compose import register_resolvers
from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.segments import Frames
from memguard.data.datasets.ucsd import ped2
from memguard.model.denoiser import Denoiser
from memguard.scoring import psnr
from memguard.training.build import build, build_datamodule, build_denoiser
from memguard.training.checkpoints import CONFIG_KEY, DENOISER, read_checkpoint
from memguard.training.denoising import VALIDATED
from memguard.training.provenance import Provenance
from memguard.training.trained import restore

STUDY = "denoiser"
HERE = Path(__file__).parent
CACHE = "~/.cache/memguard"
SCORES = ("test/auroc", "test/auroc_psnr", "test/auroc_patch")
GAIN, READ_NOISE = 4.0, 10.0  # grey levels: of a photon, and of the sensor in the dark

Noise = Callable[[Tensor, torch.Generator], Tensor]
"""Adds noise to grey levels, float (C, H, W) from 0 to 255."""

Method = Callable[[Tensor, float], Tensor]
"""Denoises a frame, uint8 (C, H, W), of a strength; a batch of one with values in [−1, 1]."""

Metrics = dict[str, float]
"""By the names of ``runs.csv``."""


def gaussian(strength: float) -> Noise:
    """Make Gaussian noise with a standard deviation in grey levels."""
    return lambda levels, generator: levels + strength * _normal(levels, generator)


def night(levels: Tensor, generator: torch.Generator) -> Tensor:
    """Add the noise of little light: Poisson of the photons, and Gaussian of the sensor."""
    photons = torch.poisson(levels / GAIN, generator)
    return GAIN * photons + READ_NOISE * _normal(levels, generator)


def _normal(levels: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(levels.shape, generator=generator)


def with_noise(frame: Tensor, noise: Noise, *seeds: int) -> Tensor:
    """Add noise to a frame, uint8 (C, H, W), as the seeds decide."""
    seed = np.random.SeedSequence(seeds).generate_state(1)[0]
    levels = noise(frame.float(), torch.Generator().manual_seed(int(seed)))
    return levels.round().clamp(0, 255).to(torch.uint8)


NOISES: Mapping[str, Noise | None] = {
    "clean": None,
    "gauss10": gaussian(10),
    "gauss25": gaussian(25),
    "night": night,
}
SEEDS = (0, 1, 2)  # of the noise


@dataclass(frozen=True)
class NoisyVideo:
    """A video with noise; a frame has the same noise whenever it is read.

    Attributes:
        video: Without the noise.
        noise: Of each frame.
        seeds: Of the noise: a seed, and the number of the video.
    """

    video: Frames
    noise: Noise
    seeds: tuple[int, int]

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.video)

    def frames(self, indices: range) -> Tensor:
        """Return frames by number, uint8 (N, C, H, W)."""
        frames = zip(self.video.frames(indices), indices, strict=True)
        return torch.stack([with_noise(each, self.noise, *self.seeds, n) for each, n in frames])


def load(checkpoint: Path) -> tuple[Denoiser, DictConfig]:
    """Load a denoiser, and the settings of its training."""
    saved = read_checkpoint(checkpoint)
    settings = OmegaConf.create(saved[CONFIG_KEY])
    denoiser = build_denoiser(settings.denoise)
    assert denoiser, f"{checkpoint} has no denoiser"
    weights = {n.removeprefix(DENOISER): each for n, each in saved["state_dict"].items()}
    denoiser.load_state_dict(weights)
    return denoiser.eval(), settings


def held_out(settings: DictConfig, data: Path) -> list[Tensor]:
    """Decode the frames that the training of a denoiser has held out, uint8 (C, H, W)."""
    settings.data.cache_dir = CACHE
    module: ClipDataModule = build("data", settings.data, benchmark=ped2(data / "ped2"))
    module.prepare_data()
    module.setup()
    return [frame for batch in module.val_dataloader() for frame in batch.frames[:, -1]]


def signal(frame: Tensor) -> Tensor:
    """Turn grey levels, (C, H, W), into a batch of one with values in [−1, 1]."""
    return frame[None].float() / 127.5 - 1


def non_local_means(noisy: Tensor, strength: float) -> Tensor:
    """Denoise a grey frame of a known strength by OpenCV."""
    return signal(torch.from_numpy(cv2.fastNlMeansDenoising(noisy[0].numpy(), h=strength))[None])


def frames_measured(method: Method, frames: Sequence[Tensor], strength: float) -> Metrics:
    """Measure the PSNR of a method's frames, and its time for one."""
    levels, seconds = [], 0.0
    for number, frame in enumerate(frames):
        noisy = with_noise(frame, gaussian(strength), 0, number)
        began = time.perf_counter()
        denoised = method(noisy, strength)
        seconds += time.perf_counter() - began
        levels.append(float(psnr(denoised, signal(frame))))
    return {
        "denoise/psnr": float(np.mean(levels)),
        "denoise/milliseconds": 1000 * seconds / len(frames),
        "denoise/frames": len(frames),
    }


def detected(
    detector: Path, denoiser: nn.Module, noise: Noise | None, seed: int, data: Path
) -> Metrics:
    """Test a detector on Ped2 with noise, and a denoiser before it."""
    scorer, config = restore(detector, with_dataset=False)
    scorer.denoiser = denoiser
    config.paths.cache_dir = CACHE
    module = build_datamodule(config, replace(ped2(data / "ped2"), train=()))
    module.prepare_data()
    module.setup()
    if noise:
        module.test_segments = [
            replace(each, video=NoisyVideo(each.video, noise, (seed, each.number)))
            for each in module.test_segments
        ]
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.test(scorer, module, verbose=False)
    return {name: float(trainer.callback_metrics[name]) for name in SCORES}


def measurements(
    denoiser: Path, detector: Path, data: Path
) -> Iterator[tuple[str, int, Callable[[], Metrics]]]:
    """Name each measurement, with its seed and the function that measures it."""
    network, settings = load(denoiser)
    frames = held_out(settings, data)
    methods: dict[str, Method] = {
        "none": lambda noisy, _strength: signal(noisy),
        "nlm": non_local_means,
        "adnet": lambda noisy, _strength: network(signal(noisy)[None])[0],
    }
    for (name, method), strength in product(methods.items(), VALIDATED):
        measure = partial(frames_measured, method, frames, strength)
        yield f"frames_{name}_{strength:.0f}", 0, measure
    fronts = {"none": nn.Identity(), "adnet": network}
    for (kind, noise), (name, front) in product(NOISES.items(), fronts.items()):
        for seed in SEEDS if noise else SEEDS[:1]:
            measure = partial(detected, detector, front, noise, seed, data)
            yield f"ped2_{kind}_{name}_seed{seed}", seed, measure


def main(denoiser: Path, detector: Path, data: Path) -> None:
    """Measure and record all that is not recorded yet."""
    register_resolvers()
    for name, seed, measure in measurements(denoiser, detector, data):
        if name in runs(STUDY):
            continue
        provenance = Provenance(seed)
        values = measure()
        made = provenance.finish()
        row = {"study": STUDY, "run": name}
        row["command"] = f"python experiments/denoiser.py {denoiser} {detector} DATA"
        row |= {key: made[key] for key in ("commit", "seed", "machine", "minutes")}
        add(row | {key: f"{value:.7g}" for key, value in values.items()}, HERE / "runs.csv")
        print(name, values, flush=True)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
