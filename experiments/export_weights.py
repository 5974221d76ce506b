"""Export the weights of a checkpoint: ``python experiments/export_weights.py CHECKPOINT OUTPUT``.

The output has parameters in half precision, buffers and the configuration: enough for a test. It
has no optimiser state, and no training can resume from it.
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
        checkpoint: The checkpoint of a training.
        output: The file to write.
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
