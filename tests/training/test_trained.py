"""Trained detectors from checkpoints: settings that cannot work name the file they are from."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

import memguard
from memguard.errors import CheckpointError, ConfigError
from memguard.live.scorer import restored
from memguard.training.checkpoints import CONFIG_KEY
from memguard.training.trained import restore

TRAINED = Path(__file__).with_name("before_the_rooms.ckpt")


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A checkpoint whose settings weight the PSNR by 7, of at most 1."""
    saved = torch.load(TRAINED, weights_only=True)
    saved[CONFIG_KEY]["scoring"]["weight"] = 7
    torch.save(saved, tmp_path / "bad.ckpt")
    return tmp_path / "bad.ckpt"


def evaluate(checkpoint: Path, *overrides: str) -> None:
    words = [f"checkpoint={checkpoint}", "dataset=folder", "dataset.root=nowhere", *overrides]
    memguard.evaluate(memguard.compose(words, "evaluate"), checkpoint.parent / "test")


def test_a_value_of_a_checkpoint_that_cannot_work_names_the_file(bad: Path) -> None:
    sentence = rf"{bad}: scoring\.weight=7 cannot work"
    with pytest.raises(CheckpointError, match=sentence):
        evaluate(bad)
    with pytest.raises(CheckpointError, match=sentence):
        memguard.load(bad)


def test_a_value_of_the_command_that_cannot_work_names_its_key_alone(bad: Path) -> None:
    with pytest.raises(ConfigError, match=r"\Ascoring\.weight=9 cannot work"):
        evaluate(bad, "scoring.weight=9")
    with pytest.raises(ConfigError, match=r"\Aguard\.threshold=-1 cannot work"):
        evaluate(bad, "scoring.weight=0.5", "guard.threshold=-1")


def test_a_value_of_the_command_replaces_that_of_the_checkpoint(bad: Path) -> None:
    with pytest.raises(memguard.UserError, match="nowhere"):  # all settings can work
        evaluate(bad, "scoring.weight=0.5")


def test_a_detector_of_a_gpu_works_where_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = {"cpu"}
    monkeypatch.setattr("memguard.config.trainer._is_available", lambda kind: kind in here)
    saved = torch.load(TRAINED, weights_only=True)
    path = tmp_path / "gpu.ckpt"
    for name in ("gpu", "cuda"):
        saved[CONFIG_KEY]["trainer"]["accelerator"] = name
        torch.save(saved, path)
        assert restore(path, with_dataset=False)[1].trainer.accelerator == "auto"
        restored(path)  # for live scoring, which opens the device
    here.add("cuda")
    assert restore(path, with_dataset=False)[1].trainer.accelerator == "cuda"


def test_a_detector_loads_as_lightning_modules_do() -> None:
    detector = memguard.Detector.load_from_checkpoint(str(TRAINED), map_location="cpu")
    assert not detector.training
    saved = torch.load(TRAINED, weights_only=True)["state_dict"]
    for name, value in saved.items():
        if not name.startswith("alarm."):  # which is converted
            assert torch.equal(detector.state_dict()[name], value), name
    assert not detector.reference.learned
    output, target = detector.predict(torch.zeros(1, 5, 1, 32, 32, dtype=torch.uint8))
    assert output.shape == target.shape == (1, 1, 32, 32)
    with pytest.raises(CheckpointError, match=r"There is no checkpoint nowhere\.ckpt"):
        memguard.Detector.load_from_checkpoint("nowhere.ckpt")


def test_the_public_detector_loads_in_a_process_that_imports_nothing_else() -> None:
    code = (
        f"import memguard; print(memguard.Detector.load_from_checkpoint({str(TRAINED)!r}).memory)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.startswith("Memory")


def test_loading_gives_the_detector(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has seen 2 held-out normal frames, too few"):
        memguard.load(TRAINED)
    saved = torch.load(TRAINED, weights_only=True)
    saved["state_dict"]["alarm.tail"][1] = 20  # frames
    torch.save(saved, tmp_path / "last.ckpt")
    detector = memguard.load(tmp_path / "last.ckpt").detector
    assert isinstance(detector, memguard.Detector)
    assert detector.memory.items.shape == (3, 8)


@pytest.mark.parametrize("patch", [[[0.1, 0.05], [0.2, 0.1]], [0.1, 0.2]])
def test_scores_are_compared_with_no_alarm_of_another_scale(patch: list[object]) -> None:
    sentence = (
        r"before_the_rooms\.ckpt: its alarm has learned errors with scoring\.patch=\[0\.2, 0\.1\]"
    )
    with pytest.raises(CheckpointError, match=sentence):
        memguard.load(TRAINED, scoring={"patch": patch})
    with pytest.raises(CheckpointError, match=r"those with scoring\.smoothing=5 are on another"):
        memguard.load(TRAINED, scoring={"smoothing": 5})
    with pytest.raises(CheckpointError, match="has seen 2 held-out"):  # the next sentence
        memguard.load(TRAINED, scoring={"patch": (0.2, 0.1), "name": "patch"})
