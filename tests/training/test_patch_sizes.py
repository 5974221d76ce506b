"""The sizes of patches that a training or a test measures."""

import logging
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig

from memguard.config.compose import compose
from memguard.config.trust import NOBODY
from memguard.errors import ConfigError
from memguard.training import patch_sizes
from memguard.training.build import build
from memguard.training.patch_sizes import settle_patch_sizes
from memguard.training.settings import plain_settings


@pytest.fixture
def config(shared_scene: Path, tmp_path: Path) -> DictConfig:
    return compose(
        ["dataset=folder", f"dataset.root={shared_scene}", "model=mnad_tiny", "scoring.patch=auto",
         f"paths.cache_dir={tmp_path / 'cache'}"],
    )  # fmt: skip


def test_auto_becomes_the_sizes_in_the_training_videos(config: DictConfig) -> None:
    settle_patch_sizes(config, NOBODY)
    assert len(config.scoring.patch) == 3
    stored = plain_settings(config)["scoring"]["patch"]  # as a checkpoint has it
    assert stored == config.scoring.patch
    sizes = torch.tensor(build("scoring", config.scoring).sizes)
    assert bool((sizes > 0).all() and (sizes <= 1).all())
    assert bool((sizes[1:] >= sizes[:-1]).all())


def test_given_sizes_stay_and_read_no_video(config: DictConfig) -> None:
    config.scoring.patch, config.dataset.root = [0.3, 0.2], "nowhere"
    settle_patch_sizes(config, NOBODY)
    assert config.scoring.patch == [0.3, 0.2]


def test_where_nothing_moves_patches_have_one_size(
    config: DictConfig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patch_sizes, "moving_sizes", lambda videos: [])
    settle_patch_sizes(config, NOBODY)
    assert config.scoring.patch == [[0.2, 0.1]]
    assert caplog.record_tuples[-1][1] == logging.WARNING
    assert caplog.messages[-1].startswith("Nothing moves in the training videos of ")


def test_without_training_videos_a_sentence_names_the_remedy(
    config: DictConfig, shared_scene: Path, tmp_path: Path
) -> None:
    root = tmp_path / "tests_alone"
    root.mkdir()
    (root / "test").symlink_to(shared_scene / "test")
    config.dataset.root = str(root)
    with pytest.raises(ConfigError, match=r"has none: set scoring.patch to sizes, such as "):
        settle_patch_sizes(config, NOBODY)


def test_a_scoring_by_itself_measures_nothing(config: DictConfig) -> None:
    with pytest.raises(ConfigError, match=r"measured in training videos by memguard\.train"):
        build("scoring", config.scoring)
