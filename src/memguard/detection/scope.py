"""The scope of the items of a test: one memory for all videos, or one for each."""

from typing import Literal

Scope = Literal["dataset", "video"]
