"""Compose a configuration and choose its device, for the benchmarks of the network."""

from collections.abc import Callable

import torch
from hydra import compose, initialize_config_dir
from lightning_fabric import Fabric
from omegaconf import DictConfig

from memguard.config.compose import config_folder, register_resolvers
from memguard.config.validation import validate


def composed(overrides: list[str]) -> tuple[DictConfig, Fabric, Callable[[], None]]:
    """Compose as memguard.train does, without its loggers and callbacks.

    Returns:
        The configuration, its device and precision, and a function that waits for the device.
    """
    register_resolvers()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", [*overrides, "~logger", "~callbacks"])
    validate(config)
    precision = config.trainer.precision
    fabric = Fabric(accelerator=config.trainer.accelerator, precision=precision, devices=1)
    torch.manual_seed(config.seed)
    wait = torch.cuda.synchronize if fabric.device.type == "cuda" else lambda: None
    return config, fabric, wait
