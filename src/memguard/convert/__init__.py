"""Conversion: checkpoints of other code."""
