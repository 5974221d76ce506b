"""memguard: memory-guided video anomaly detection, as PyTorch Lightning experiments."""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from memguard.live.scorer import load

__all__ = ["load"]
__version__ = "0.1.0"

# OpenMP reads these when PyTorch is imported. Its threads spin while they wait for one another:
# libgomp's 300 000 turns keep cores from other processes, so many cost little on a quiet machine
# (experiments/benchmarks/waiting_threads.py).
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    os.environ["GOMP_SPINCOUNT"] = "20000"


def __getattr__(name: str) -> Any:
    """Bring in what needs PyTorch when it is asked for, as that takes seconds."""
    if name == "load":
        from memguard.live.scorer import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
