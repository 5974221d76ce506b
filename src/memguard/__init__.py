"""memguard: memory-guided video anomaly detection, as PyTorch Lightning experiments."""

from typing import TYPE_CHECKING, Any

from memguard.openmp import spin_briefly

if TYPE_CHECKING:
    from memguard.live import load

__all__ = ["load"]
__version__ = "0.1.0"

spin_briefly()


def __getattr__(name: str) -> Any:
    """Bring in what needs PyTorch when it is asked for, as that takes seconds."""
    if name == "load":
        from memguard.live import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
