"""Watch videos or a camera: ``python -m memguard.score checkpoint=… video=…``."""

import sys

import hydra
from omegaconf import DictConfig

from memguard import watch
from memguard.config import config_folder, register_resolvers
from memguard.keys import with_known_keys

register_resolvers()

INTERRUPTED = 130  # what a shell knows an interrupted command by


@with_known_keys("score", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="score")
def main(config: DictConfig) -> None:
    """Score what the command line names."""
    if not watch.score(config):
        sys.exit(INTERRUPTED)
