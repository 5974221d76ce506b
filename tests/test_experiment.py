"""How a configuration becomes a detector."""

import pytest
from hydra import compose, initialize_config_dir

from memguard.builders import build_detector
from memguard.config import config_folder, register_resolvers
from memguard.detector import Detector


def built(*overrides: str) -> Detector:
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", ["model=mnad_tiny", "model.width=4", "memory.dim=8", *overrides])
    return build_detector(config)


def test_every_setting_reaches_what_it_is_for() -> None:
    detector = built(
        "loss.compactness=2", "loss.separateness=5", "loss.margin=0.3", "memory.size=3",
        "optimizer.lr=0.07", "guard.threshold=0.4", "guard.quantile=0.2", "guard.scope=video",
        "scoring.weight=0.9", "scoring.smoothing=7",
    )  # fmt: skip
    weights = detector.compactness, detector.separateness, detector.margin
    assert weights == (2, 5, 0.3)
    assert detector.memory.items.shape == (3, 8)
    guard = detector.guard
    assert (guard.threshold, guard.quantile, guard.scope, guard.enabled) == (
        0.4,
        0.2,
        "video",
        True,
    )
    assert (detector.scoring.weight, detector.scoring.smoothing) == (0.9, 7)


@pytest.mark.parametrize(
    ("task", "channels", "past"), [("pred", 1, 4), ("pred", 3, 4), ("recon", 1, 0)]
)
def test_a_network_takes_the_windows_of_its_task(task: str, channels: int, past: int) -> None:
    detector = built(f"task={task}", f"data.channels={channels}")
    first = next(detector.autoencoder.encoder.parameters())
    assert first.shape[1] == max(past, 1) * channels
