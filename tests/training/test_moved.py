"""Classes that have moved: earlier checkpoints load, and give the figures that they gave."""

from pathlib import Path

import pytest
import torch
from hydra.utils import get_object

import memguard
from memguard.scoring.protocols import ScoreConfig
from memguard.training.moved import MOVED
from memguard.training.trained import restore


def test_every_present_place_exists_and_has_not_moved_again() -> None:
    for place in MOVED.values():
        assert get_object(place)
    assert not MOVED.keys() & MOVED.values()


def test_a_checkpoint_of_an_earlier_version_has_the_same_figures(
    shared_scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Trained and tested by commit 6b18ea8, the last before modules had rooms.
    checkpoint = Path(__file__).with_name("before_the_rooms.ckpt")
    monkeypatch.setenv("MEMGUARD_CACHE", str(tmp_path / "cache"))
    config = memguard.compose(
        [
            f"checkpoint={checkpoint}", "dataset=folder", f"dataset.root={shared_scene}",
            "guard.threshold=0.1", "logger=csv",
        ],
        "evaluate",
    )  # fmt: skip
    metrics = memguard.evaluate(config, tmp_path / "test")
    assert metrics["test/frames_written"] == 9
    assert metrics["test/auroc"] == pytest.approx(0.929167, abs=1e-3)
    assert metrics["test/auroc_distance"] == pytest.approx(0.727083, abs=1e-3)
    assert metrics["test/eer"] == pytest.approx(0.166667, abs=1e-3)


@pytest.mark.parametrize(
    "place", ["memguard.protocols.Scoring", "memguard.scoring.protocols.Scoring"]
)
def test_a_checkpoint_with_the_earlier_name_of_the_scores_loads(place: str, tmp_path: Path) -> None:
    saved = torch.load(Path(__file__).with_name("before_the_rooms.ckpt"), weights_only=True)
    saved["memguard_config"]["scoring"]["_target_"] = place
    torch.save(saved, tmp_path / "last.ckpt")
    detector, _ = restore(tmp_path / "last.ckpt")
    assert detector.scoring == ScoreConfig("published", 0.6, [0.2, 0.1], smoothing=2, causal=False)
