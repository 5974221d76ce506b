"""The names of scores that a test may have for its own; see :mod:`memguard.scoring.protocols`."""

from typing import Literal

ScoreName = Literal["published", "shared_range", "patch"]
