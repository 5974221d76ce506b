"""The command that scores streams, by itself: an exported graph is scored without PyTorch."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from memguard.cli.interrupts import INTERRUPTED
from memguard.config.compose import config_folder, register_resolvers
from memguard.config.keys import with_known_keys
from memguard.live import recording

register_resolvers()


@with_known_keys("score", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="score")
def score(config: DictConfig) -> None:
    """Score videos or a camera."""
    if not recording.score(config, run_folder()):
        sys.exit(INTERRUPTED)


def run_folder() -> Path:
    """Return the folder that Hydra has made for the command."""
    return Path(HydraConfig.get().runtime.output_dir)


COMMANDS = {"score": score}
