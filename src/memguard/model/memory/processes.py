"""Exchange between the processes of a training: each has a part of the queries."""

from collections.abc import Callable

import torch
from torch import Tensor, distributed

Reduce = Callable[[Tensor], Tensor]


def all_reduce(operation: distributed.ReduceOp.RedOpType) -> Reduce:
    """Return a function that reduces a tensor over all processes, if there are several."""

    def reduce(value: Tensor) -> Tensor:
        if _several():
            value = value.contiguous()
            distributed.all_reduce(value, operation)
        return value

    return reduce


def gathered(value: Tensor) -> Tensor:
    """Stack the tensors of all processes, of one shape, by rank: (processes, …)."""
    if not _several():
        return value.unsqueeze(0)
    values = [torch.empty_like(value) for _ in range(distributed.get_world_size())]
    distributed.all_gather(values, value.contiguous())
    return torch.stack(values)


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
