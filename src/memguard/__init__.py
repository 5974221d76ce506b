"""memguard: memory-guided video anomaly detection, as PyTorch Lightning experiments."""

__version__ = "0.1.0"
