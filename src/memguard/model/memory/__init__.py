"""Memories: prototypes of normal frames, between encoder and decoder."""

from memguard.model.memory.base import BaseMemory, MemoryRead, item_use, queries_per_item
from memguard.model.memory.mnad import Memory, read, write

__all__ = [
    "BaseMemory",
    "Memory",
    "MemoryRead",
    "item_use",
    "queries_per_item",
    "read",
    "write",
]
