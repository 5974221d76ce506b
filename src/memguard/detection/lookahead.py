"""Looking ahead: decode several test frames at once, though each may update the memory.

Frames depend on one another through the items alone. Frames of different memories can be decoded
together. Frames of one memory can be decoded together with the present items; they are valid up to
and including the first frame that updates the memory, and the frames after it are decoded again.
"""

from collections import deque
from collections.abc import Sequence

import torch


class Lookahead:
    """Choose the frames to decode next, and accept those that no memory update precedes.

    A memory without an update is given twice as many frames the next time; a memory with an update
    is given as many as were valid. Where updates are rare, a whole batch is decoded at once; where
    they are frequent, few frames are decoded twice.

    Args:
        frames: The most frames to decode at once, over all memories. Each memory gets at least one.

    Example:
        >>> ahead = Lookahead(frames=4)
        >>> ahead.begin([0, 0, 0, 0, 0])
        >>> ahead.choose(), ahead.accept([False])
        ([0], [0])
        >>> ahead.choose(), ahead.accept([True, False])  # an update precedes the second frame
        ([1, 2], [0])
        >>> ahead.choose()
        [2]
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._waiting: dict[int, deque[int]] = {}
        self._guess: dict[int, int] = {}
        self._chosen: list[tuple[int, list[int]]] = []

    def begin(self, memories: Sequence[int]) -> None:
        """Start a batch.

        Args:
            memories: The number of each frame's memory; the frames of one memory are in order.
        """
        self._waiting = {memory: deque() for memory in memories}
        for place, memory in enumerate(memories):
            self._waiting[memory].append(place)

    def choose(self) -> list[int]:
        """Choose frames to decode, by their places in the batch; none when all are accepted."""
        self._waiting = {memory: places for memory, places in self._waiting.items() if places}
        most = max(self.frames // max(len(self._waiting), 1), 1)
        self._chosen = [
            (memory, list(places)[: min(self._guess.get(memory, 1), most)])
            for memory, places in self._waiting.items()
        ]
        return [place for _, places in self._chosen for place in places]

    def accept(self, updates: Sequence[bool]) -> list[int]:
        """Accept the chosen frames up to each memory's first update.

        Args:
            updates: For each frame that :meth:`choose` returned, whether it updates the memory.

        Returns:
            The positions of the accepted frames among those that :meth:`choose` returned.
        """
        accepted: list[int] = []
        start = 0
        for memory, places in self._chosen:
            flags = list(updates[start : start + len(places)])
            valid = flags.index(True) + 1 if True in flags else len(flags)
            known = self._guess.get(memory, 1)
            self._guess[memory] = valid if True in flags else max(known, 2 * valid)
            accepted += range(start, start + valid)
            for _ in range(valid):
                self._waiting[memory].popleft()
            start += len(places)
        return accepted


def most_at_once(device: torch.device) -> int:
    """Return how many frames to encode and decode at once.

    A GPU takes little more time for sixteen frames than for one. On a CPU one frame uses all cores
    and its maps stay in the cache, and frames decoded twice cost time.

    Example:
        >>> most_at_once(torch.device("cuda")), most_at_once(torch.device("cpu"))
        (16, 1)
    """
    return 16 if device.type == "cuda" else 1
