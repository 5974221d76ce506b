"""The search as a plugin of Hydra's, which looks for plugins in this namespace alone."""

from contextlib import suppress
from typing import Any

with suppress(ImportError):  # without the extra sweeps there is no search
    from hydra_plugins.hydra_optuna_sweeper.optuna_sweeper import OptunaSweeper

    class MemguardSearch(OptunaSweeper):
        """Hydra's Optuna sweeper, with pruning and with a study that processes share."""

        def __init__(self, **settings: Any) -> None:
            # Imported here: Hydra reads this module at each command, and Optuna takes a second.
            from memguard.sweep.search import Search

            self.sweeper = Search(**settings)
