"""A memory that finds its size: items come into being by novelty, merge by likeness, and go unused.

MNAD's memory has M items, and M is a setting. Here M follows from how much queries differ. Reading
and writing are MNAD's, over the rows that are items.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, distributed

from memguard.model.memory.base import cosines, present, queries_per_item
from memguard.model.memory.mnad import Memory
from memguard.model.memory.processes import all_reduce, gathered
from memguard.model.shapes import require_shapes

# Items that come into being in a step: more would all come from one unusual batch.
BIRTHS = 4
# An item that is nearest to a smaller share of an epoch's queries goes.
LEAST_SHARE = 0.001
# With more rows all items could be below the least share.
MOST_ROWS = 1000


def farthest_query(query: Tensor, closest: Tensor) -> tuple[Tensor, Tensor]:
    """Find the query that is farthest from its nearest item, over all processes.

    Args:
        query: (K, C), unit rows.
        closest: (K,), the cosine of each query with its nearest item.

    Returns:
        Its cosine, (), and the query, (C,).

    Example:
        >>> farthest_query(torch.eye(2), torch.tensor([0.9, 0.3]))
        (tensor(0.3000), tensor([0., 1.]))
    """
    place = closest.argmin().view(1)
    own = torch.cat([closest.index_select(0, place), query.index_select(0, place).flatten()])
    found = gathered(own)  # (processes, 1 + C)
    (farthest,) = found.index_select(0, found[:, 0].argmin().view(1))
    return farthest[0], farthest[1:]


def with_novel(items: Tensor, query: Tensor, novelty: float) -> tuple[Tensor, Tensor]:
    """Let queries that are far from every item become items, the farthest first.

    A query becomes an item if its cosine with every item is below 1 − ``novelty``, at most four in
    a step, and as long as a row is free.

    Args:
        items: (M, C), unit rows, or zeros where no item is.
        query: (K, C), unit rows, of this process; those of all processes count.
        novelty: The least distance, 1 − cosine, of a new item from every other.

    Returns:
        The items, the same shape, and the rows that have come into being, bool (M,).

    Example:
        >>> items = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
        >>> with_novel(items, torch.tensor([[0.8, 0.6], [0.6, 0.8]]), novelty=0.3)
        (tensor([[1.0000, 0.0000],
                [0.6000, 0.8000]]), tensor([False,  True]))
    """
    before, rows = present(items), torch.arange(len(items), device=items.device)
    closest = cosines(query, items).amax(dim=-1)
    for _ in range(BIRTHS):
        cosine, candidate = farthest_query(query, closest)
        free = rows.masked_fill(present(items), len(items)).amin()
        born = (rows == free) & (cosine < 1 - novelty)
        items = torch.where(born.unsqueeze(-1), candidate, items)
        closest = torch.maximum(closest, query @ candidate)
    return items, present(items) & ~before


def with_merged(items: Tensor, use: Tensor, merge: float) -> tuple[Tensor, Tensor]:
    """Merge the two most similar items if their cosine is above 1 − ``merge``.

    They become one, their mean weighted by use, normalised; the other's row is free. An item counts
    as one query more than it has.

    Args:
        items: (M, C), unit rows, or zeros where no item is.
        use: (M,), the number of queries of each item.
        merge: The distance, 1 − cosine, within which two items are one.

    Returns:
        The items and their use, the same shapes.

    Example:
        >>> items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
        >>> with_merged(items, torch.tensor([5, 0, 2]), merge=0.3)
        (tensor([[1.0000, 0.0000],
                [0.4679, 0.8838],
                [0.0000, 0.0000]]), tensor([5, 2, 0]))
    """
    size, lowest = len(items), torch.finfo(items.dtype).min
    rows = torch.arange(size, device=items.device)
    pairs = present(items).unsqueeze(-1) & (rows.unsqueeze(-1) < rows)  # each pair once
    cosine, place = cosines(items, items).masked_fill(~pairs, lowest).flatten().max(dim=0)
    are_one = cosine > 1 - merge
    first = (rows == place // size) & are_one
    second = (rows == place % size) & are_one
    weight = torch.where(first | second, use + 1, 0).to(items.dtype)
    joined = F.normalize(weight @ items, dim=0)
    items = torch.where(first.unsqueeze(-1), joined, items)
    items = items.masked_fill(second.unsqueeze(-1), 0)
    both = torch.where(first | second, use, 0).sum()
    return items, torch.where(first, both, use).masked_fill(second, 0)


class GrowingMemory(Memory):
    """A memory whose number of items follows from the queries.

    It begins empty. In a training step queries that are novel become items, all queries are
    written, and the two most similar items merge if they are alike. At the end of an epoch, items
    go that fewer than one query in a thousand was nearest to; a new item begins with as much use
    as it needs by then.
    In a test the items move, as MNAD's do, and their number stays.

    Args:
        max_size: Rows for items, at most a thousand.
        dim: C, the length of an item, equal to the autoencoder's ``features``.
        novelty: The distance, 1 − cosine, from every item at which a query becomes an item.
        merge: The distance within which two items become one, less than ``novelty``.

    Attributes:
        items: (max_size, C), unit rows; a row of zeros is no item.
        use: (max_size,), the queries nearest to each item in this epoch.
        queries: (), all queries in this epoch.

    Raises:
        ValueError: A value is out of range, or ``merge`` is no less than ``novelty``.

    Example:
        >>> memory = GrowingMemory(max_size=10, dim=2, novelty=0.3, merge=0.1)
        >>> memory.update(torch.eye(2).unsqueeze(0))
        >>> memory.items[:3]
        tensor([[1., 0.],
                [0., 1.],
                [0., 0.]])
    """

    use: Tensor
    queries: Tensor

    def __init__(self, max_size: int, dim: int, novelty: float, merge: float) -> None:
        super().__init__(max_size, dim)
        if not 1 <= max_size <= MOST_ROWS:
            raise ValueError(f"max_size={max_size} must be from 1 to {MOST_ROWS}")
        if not 0 <= merge < novelty:
            raise ValueError(
                f"merge={merge} must be at least 0 and less than novelty={novelty}, or each new "
                "item would be merged at once"
            )
        self.novelty, self.merge = novelty, merge
        self.items = torch.zeros_like(self.items)
        self.register_buffer("use", torch.zeros(max_size, dtype=torch.int64))
        self.register_buffer("queries", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def update(self, query: Tensor, similarity: Tensor | None = None) -> None:
        """Add items, write the queries of a training batch, of all processes, and merge items.

        Novel queries become items first, or they would pull the items that they are far from.

        Args:
            query: (B, K, C), unit rows.
            similarity: Unused, as it lacks the new items.

        Raises:
            ValueError: If an argument has another shape.
        """
        require_shapes(query=(query, "B K C"))
        query = query.to(self.items.dtype)
        with torch.autocast(query.device.type, enabled=False):
            items, born = with_novel(self.items, query.flatten(0, 1), self.novelty)
            similarity = cosines(query, items)
            counts = all_reduce(distributed.ReduceOp.SUM)(queries_per_item(similarity).long())
            use = torch.where(born, self._least_use(), self.use) + counts
            items = self.write(query, items, similarity, across_processes=True)
            self.items, self.use = with_merged(items, use, self.merge)
        self.queries = self.queries + counts.sum()

    def end_epoch(self) -> None:
        """Remove the items that few queries were nearest to, and count from 0."""
        rare = self.use < self._least_use()
        self.items = self.items.masked_fill(rare.unsqueeze(-1), 0)
        self.use, self.queries = torch.zeros_like(self.use), torch.zeros_like(self.queries)

    def _least_use(self) -> Tensor:
        """Return the queries that an item needs by now, ()."""
        return (LEAST_SHARE * self.queries).long()
