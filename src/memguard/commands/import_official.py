"""Import the authors' files: ``python -m memguard.import_official model=… items=… output=…``."""

import hydra
from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from memguard import official
from memguard.config import config_folder, register_resolvers

register_resolvers()
# Stored, not searched for: beside the groups of conf/, model=… would be a choice from one of them.
ConfigStore.instance().store(
    "import_official", OmegaConf.load(f"{config_folder()}/import_official.yaml")
)


@hydra.main(version_base="1.3", config_path=None, config_name="import_official")
def main(config: DictConfig) -> None:
    """Write the checkpoint that the command line asks for."""
    official.import_checkpoint(config)
