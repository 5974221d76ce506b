"""Train and test a detector: ``python -m memguard.train dataset=ped2 task=pred``."""

import hydra
from omegaconf import DictConfig

from memguard import experiment, sweep
from memguard.config import config_folder, register_resolvers
from memguard.keys import with_known_keys
from memguard.report.sweep import reported_if_interrupted

register_resolvers()


@reported_if_interrupted
@with_known_keys("train", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="train")
def main(config: DictConfig) -> float | None:
    """Run the experiment that the command line composed, by itself or as a job of a sweep."""
    return sweep.run_job(config, experiment.train)
