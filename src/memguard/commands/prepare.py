"""Inspect and convert a dataset's videos: ``python -m memguard.prepare dataset=ped2``."""

import hydra
from omegaconf import DictConfig

from memguard import experiment
from memguard.config import config_folder, register_resolvers
from memguard.keys import with_known_keys

register_resolvers()


@with_known_keys("prepare", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="prepare")
def main(config: DictConfig) -> None:
    """Prepare the dataset that the command line composed."""
    experiment.prepare(config)
