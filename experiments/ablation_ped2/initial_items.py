"""Begin with items anywhere: ``python …/ablation_ped2/initial_items.py OUTPUT KEY=VALUE…``.

The items of a training begin as normalised uniform rows, all coordinates positive, as published: in
one corner of the sphere, where the cosine of two of them is about 0.75. OUTPUT becomes a checkpoint
of the detector that ``python -m memguard.train KEY=VALUE…`` would begin with, but for its items:
normalised normal rows, which point anywhere. A training by the same settings with
``weights=OUTPUT`` differs by these alone.
"""

import sys
from pathlib import Path

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir

from memguard.builders import build_detector
from memguard.checkpoints import CONFIG_KEY
from memguard.config import config_folder, register_resolvers, validate
from memguard.data.cache import written_whole
from memguard.settings import plain_settings


def begin(output: Path, overrides: list[str]) -> None:
    """Write what a training can begin from.

    Args:
        output: Where it goes.
        overrides: The training's settings.
    """
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("train", [*overrides, "~logger", "~callbacks"])
    validate(config)
    pl.seed_everything(config.seed, verbose=False)
    detector = build_detector(config)
    published = detector.memory.items
    detector.memory.items = F.normalize(torch.randn_like(published), dim=1)
    for name, items in (("published", published), ("now", detector.memory.items)):
        cosines = (items @ items.T)[~torch.eye(len(items), dtype=torch.bool)]
        print(f"{name}: cosine of two items {cosines.mean():.2f} ± {cosines.std():.2f}")
    with written_whole(output) as unfinished:
        torch.save(
            {CONFIG_KEY: plain_settings(config), "state_dict": detector.state_dict()}, unfinished
        )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    register_resolvers()
    begin(Path(sys.argv[1]), sys.argv[2:])
