"""Looking ahead: which frames of a test can be painted at once, though each may change the memory.

Frames depend on one another through the items alone. So frames of different memories can be painted
together, and of one memory several can be painted with the items as they are: up to and with the
first that the guard writes they are right, and those after it are painted again.
"""

from collections import deque
from collections.abc import Sequence

import torch


class Lookahead:
    """Chooses the frames to paint next, and keeps those that no write has overtaken.

    A memory whose frames went unwritten is given twice as many the next time, one that was written
    as many as it took: where writes are rare a whole batch is painted at once, and where they are
    frequent little is painted in vain.

    Args:
        frames: How many to paint at once at most, over all memories. Each memory gets one at least.

    Example:
        >>> ahead = Lookahead(frames=4)
        >>> ahead.begin([0, 0, 0, 0, 0])
        >>> ahead.next(), ahead.keep([False])
        ([0], [0])
        >>> ahead.next(), ahead.keep([True, False])  # the second was painted in vain
        ([1, 2], [0])
        >>> ahead.next()
        [2]
    """

    def __init__(self, frames: int) -> None:
        self.frames = frames
        self._waiting: dict[int, deque[int]] = {}
        self._guess: dict[int, int] = {}
        self._chosen: list[tuple[int, list[int]]] = []

    def begin(self, memories: Sequence[int]) -> None:
        """Take up a batch.

        Args:
            memories: For each frame the number of its memory; those of one memory in order.
        """
        self._waiting = {memory: deque() for memory in memories}
        for place, memory in enumerate(memories):
            self._waiting[memory].append(place)

    def next(self) -> list[int]:
        """Choose frames to paint, by their places in the batch; none when all are kept."""
        self._waiting = {memory: places for memory, places in self._waiting.items() if places}
        most = max(self.frames // max(len(self._waiting), 1), 1)
        self._chosen = [
            (memory, list(places)[: min(self._guess.get(memory, 1), most)])
            for memory, places in self._waiting.items()
        ]
        return [place for _, places in self._chosen for place in places]

    def keep(self, written: Sequence[bool]) -> list[int]:
        """Say which of the frames just painted are right: up to each memory's first write.

        Args:
            written: For each frame that :meth:`next` gave, whether it is to be written.

        Returns:
            Their positions among what :meth:`next` gave.
        """
        kept: list[int] = []
        start = 0
        for memory, places in self._chosen:
            flags = list(written[start : start + len(places)])
            right = flags.index(True) + 1 if True in flags else len(flags)
            known = self._guess.get(memory, 1)
            self._guess[memory] = right if True in flags else max(known, 2 * right)
            kept += range(start, start + right)
            for _ in range(right):
                self._waiting[memory].popleft()
            start += len(places)
        return kept


def most_at_once(device: torch.device) -> int:
    """How many frames are encoded and painted at once with profit.

    A GPU does sixteen in little more time than one. A CPU is busy with one, whose maps then stay in
    its cache, and would lose what is painted in vain.
    """
    return 16 if device.type == "cuda" else 1
