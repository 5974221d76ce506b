"""Compose the configuration from ``conf/``, with defaults that depend on the machine."""

import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict

from memguard.config.keys import groups, unknown_keys
from memguard.config.naming import job_name, run_name, sweep_name
from memguard.config.trainer import open_trainer_group
from memguard.distributed import alone_on_gpu, devices, nodes, on_gpu
from memguard.errors import ConfigError

PACKAGE = Path(__file__).resolve().parents[1]


def config_folder() -> str:
    """Find ``conf/``.

    A command in the root of a checkout uses the ``conf/`` there, even if the package is installed.
    Others use the one inside the installed package, or that of an editable installation.
    """
    here = Path.cwd()
    in_checkout = (here / "src" / "memguard").is_dir()
    candidates = [here / "conf"] if in_checkout else []
    candidates += [PACKAGE / "conf", PACKAGE.parents[1] / "conf"]
    return str(next(folder for folder in candidates if folder.is_dir()))


def default_model() -> str:
    """Name the published size on a machine with a GPU, the small size on others."""
    return "mnad" if on_gpu("auto") else "mnad_small"


def default_precision(accelerator: str = "auto") -> str:
    """Name bf16 on a device that computes in it, 32 bits on others.

    Args:
        accelerator: As ``trainer.accelerator`` names it.
    """
    import torch  # takes seconds to load, and not all commands need it

    if on_gpu(accelerator):
        computes_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        computes_bf16 = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return "bf16-mixed" if computes_bf16 else "32-true"


@cache
def wandb_mode() -> str:
    """Name the mode of W&B: ``WANDB_MODE``, else online for a logged-in user, else offline."""
    if "WANDB_MODE" in os.environ:
        return os.environ["WANDB_MODE"]
    import wandb  # takes seconds to load, and other loggers need not wait

    return "online" if wandb.login(prompt=False) else "offline"


def run_dir() -> str:
    """Name the folder that a command writes to; from Python, a run names its own."""
    if not HydraConfig.initialized():
        return "."
    running = HydraConfig.get()
    # ``--cfg`` shows the settings of a run that has no folder yet.
    is_shown = OmegaConf.is_missing(running.runtime, "output_dir")
    return str(running.run.dir if is_shown else running.runtime.output_dir)


def chosen_options(choices: Mapping[str, Any]) -> dict[str, Any]:
    """Name the chosen option of each group, without Hydra's own groups.

    Args:
        choices: Hydra's ``runtime.choices``.
    """
    return {group: choices[group] for group in sorted(choices) if "hydra/" not in group}


def register_resolvers() -> None:
    """Register the resolvers of the YAML files: defaults of the machine, names of runs."""
    open_trainer_group()
    for resolver in (
        default_model,
        default_precision,
        wandb_mode,
        job_name,
        run_dir,
        run_name,
        sweep_name,
        devices,
        nodes,
        on_gpu,
        alone_on_gpu,
        groups,
    ):
        OmegaConf.register_new_resolver(f"memguard.{resolver.__name__}", resolver, replace=True)


def compose(overrides: Sequence[str] = (), command: str = "train") -> DictConfig:
    """Compose the configuration of a command from Python.

    Args:
        overrides: As on the command line.
        command: ``train``, ``evaluate`` or ``prepare``.

    Raises:
        ConfigError: The command has no such key, or the words are no list.

    Example:
        >>> import memguard
        >>> config = memguard.compose(["dataset=street", "model=mnad_tiny", "memory.size=7"])
        >>> config.memory.size
        7
    """
    if isinstance(overrides, str):
        raise ConfigError(f"compose takes a list of words: write [{overrides!r}].")
    register_resolvers()
    # A running command has a configuration of its own, and keeps it.
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        if message := unknown_keys(command, config_folder(), overrides):
            raise ConfigError(message)
        with initialize_config_dir(config_folder(), version_base="1.3"):
            config = hydra.compose(command, list(overrides), return_hydra_config=True)
            if "options" in config:
                config.options = chosen_options(config.hydra.runtime.choices)
            with open_dict(config):
                del config["hydra"]
            return config
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0]) from error
    finally:
        GlobalHydra.instance().hydra = running


def published_settings(task: str) -> DictConfig:
    """Compose a task's training configuration, ``pred`` or ``recon``, at the published size."""
    return compose(["model=mnad", f"task={task}", "data.stretch=1", "batch_norm=running"])
