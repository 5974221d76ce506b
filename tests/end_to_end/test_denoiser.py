"""A denoiser, and a detector with it, as users type them."""

import json
from pathlib import Path

import torch

import memguard
from memguard.detection.detector import Detector
from memguard.live.scorer import load
from memguard.model.denoiser import Denoiser
from tests.end_to_end.conftest import SMALL, run_command


def test_the_denoiser_of_a_training_travels_in_its_checkpoint(
    shared_scene: Path, tmp_path: Path
) -> None:
    done = run_command(
        "train_denoiser", "dataset=folder", f"dataset.root={shared_scene}", "denoise.width=4",
        "data.frame_size=32", "trainer.max_epochs=1", f"hydra.run.dir={tmp_path}/denoiser",
        folder=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "denoiser" / "metrics.json").read_text())
    assert {"train/psnr", "val/psnr", "val/psnr_15", "val/psnr_25", "val/psnr_50"} <= set(metrics)
    provenance = json.loads((tmp_path / "denoiser" / "provenance.json").read_text())
    assert provenance["command"].startswith("python -m memguard.train_denoiser dataset=folder")
    weights = tmp_path / "denoiser" / "checkpoints" / "last.ckpt"

    config = memguard.compose(
        [*SMALL, f"dataset.root={shared_scene}", "trainer.max_epochs=1", "denoise=adnet",
         "denoise.width=4", f"denoise.weights={weights}"],
    )  # fmt: skip
    trained = memguard.train(config, tmp_path / "run")
    weights.unlink()
    checkpoint = tmp_path / "run" / "checkpoints" / "last.ckpt"
    test = memguard.compose([f"checkpoint={checkpoint}", "logger=csv"], "evaluate")
    tested = memguard.evaluate(test, tmp_path / "test")
    assert {name: trained[name] for name in tested} == tested

    denoiser = Detector.load_from_checkpoint(checkpoint).denoiser
    assert isinstance(denoiser, Denoiser)
    held = torch.load(checkpoint, weights_only=True)["state_dict"]
    for name, value in denoiser.state_dict().items():
        assert torch.equal(value, held[f"denoiser.{name}"]), name
    assert len(load(checkpoint).score(shared_scene / "test" / "0.mp4")) == 16
