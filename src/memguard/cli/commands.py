"""Commands: a function of Hydra's for each."""

from collections.abc import Callable
from functools import partial

import hydra
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from memguard.cli.scoring import run_folder
from memguard.config.compose import chosen_options, config_folder
from memguard.config.keys import with_known_keys
from memguard.convert import exporting, official
from memguard.live import calibration
from memguard.live.cameras import watch as cameras
from memguard.sweep import jobs
from memguard.sweep.report import reported_if_interrupted
from memguard.training import denoising, experiment

# Stored, not searched for: beside the groups of conf/, model=… would be a choice from one of them.
ConfigStore.instance().store(
    "import_official", OmegaConf.load(f"{config_folder()}/import_official.yaml")
)


@reported_if_interrupted
@with_known_keys("train", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="train")
def train(config: DictConfig) -> float | str | None:
    """Train and test a detector, by itself or as a job of a sweep."""
    return jobs.run_job(_with_options(config), _in_own_folder(experiment.train))


@reported_if_interrupted
@with_known_keys("evaluate", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="evaluate")
def evaluate(config: DictConfig) -> float | str | None:
    """Test a trained detector, by itself or as a job of a sweep."""
    return jobs.run_job(_with_options(config), _in_own_folder(experiment.evaluate))


@with_known_keys("train_denoiser", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="train_denoiser")
def train_denoiser(config: DictConfig) -> None:
    """Train a denoiser."""
    denoising.train_denoiser(_with_options(config), run_folder())


@with_known_keys("prepare", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="prepare")
def prepare(config: DictConfig) -> None:
    """Inspect and convert the videos of a dataset."""
    experiment.prepare(config, dataset=HydraConfig.get().runtime.choices["dataset"])


@with_known_keys("calibrate", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="calibrate")
def calibrate(config: DictConfig) -> None:
    """Give a checkpoint the alarm of normal video."""
    calibration.calibrate(config)


@with_known_keys("export", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="export")
def export(config: DictConfig) -> None:
    """Write the graph of a checkpoint."""
    exporting.export(config)


@with_known_keys("watch", config_folder())
@hydra.main(version_base="1.3", config_path=config_folder(), config_name="watch")
def watch(config: DictConfig) -> None:
    """Watch many cameras."""
    cameras.watch(config)


@hydra.main(version_base="1.3", config_path=None, config_name="import_official")
def import_official(config: DictConfig) -> None:
    """Convert a checkpoint of the authors' code."""
    official.import_checkpoint(config)


def _with_options(config: DictConfig) -> DictConfig:
    """Add the chosen options, which Hydra alone knows."""
    config.options = chosen_options(HydraConfig.get().runtime.choices)
    return config


def _in_own_folder(work: Callable[..., dict[str, float]]) -> jobs.Work:
    """Give a training or test the folder that Hydra has made for it."""
    in_sweep = HydraConfig.get().mode is RunMode.MULTIRUN
    return partial(work, folder=run_folder(), in_sweep=in_sweep)


COMMANDS = {
    "train": train,
    "train-denoiser": train_denoiser,
    "evaluate": evaluate,
    "calibrate": calibrate,
    "export": export,
    "watch": watch,
    "prepare": prepare,
    "import-official": import_official,
}
