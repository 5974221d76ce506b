"""Memories: prototypes of normal frames, between encoder and decoder."""

from memguard.model.memory.mnad import Memory, read, write

__all__ = ["Memory", "read", "write"]
