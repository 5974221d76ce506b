"""Keep the weights of a checkpoint: ``python experiments/export_weights.py CHECKPOINT OUTPUT``.

What is left is what a test needs: parameters in half precision, buffers as they are, and the
configuration. The optimiser's state goes, so that no training can go on from it.
"""

import sys
from pathlib import Path

import torch
from omegaconf import OmegaConf

from memguard.config.compose import register_resolvers
from memguard.files import written_whole
from memguard.training.build import build_detector
from memguard.training.checkpoints import CONFIG_KEY, read_checkpoint


def export(checkpoint: Path, output: Path) -> None:
    """Write a checkpoint's weights.

    Args:
        checkpoint: Of a training.
        output: Where they go.
    """
    saved = read_checkpoint(checkpoint)
    parameters = dict(build_detector(OmegaConf.create(saved[CONFIG_KEY])).named_parameters())
    weights = {
        name: value.half() if name in parameters else value
        for name, value in saved["state_dict"].items()
    }
    with written_whole(output) as unfinished:
        torch.save({CONFIG_KEY: saved[CONFIG_KEY], "state_dict": weights}, unfinished)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    register_resolvers()
    export(Path(sys.argv[1]), Path(sys.argv[2]))
