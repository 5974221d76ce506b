"""Learning rates over a training."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, cos, pi
from typing import Literal, get_args

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

Interval = Literal["step", "epoch"]


def cosine(optimizer: Optimizer, total_steps: int) -> LRScheduler:
    """Lower the learning rate to 0 by half a cosine.

    Args:
        optimizer: Begins with its learning rate.
        total_steps: The number of steps of the training.
    """
    return CosineAnnealingLR(optimizer, T_max=max(total_steps, 1))


def warmup_cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.05) -> LRScheduler:
    """Raise the learning rate linearly, and lower it to 0 by half a cosine.

    Args:
        optimizer: Its learning rate is the highest.
        total_steps: The number of steps of the training.
        warmup: The share of them that raise it, from 0 to below 1.

    Raises:
        ValueError: If ``warmup`` is no such share.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        >>> schedule = warmup_cosine(optimizer, total_steps=4, warmup=0.5)
        >>> rates = []
        >>> for _ in range(4):
        ...     rates.append(round(schedule.get_last_lr()[0], 2))
        ...     optimizer.step()
        ...     schedule.step()
        >>> rates
        [0.5, 1.0, 1.0, 0.5]
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"warmup={warmup} must be a share of the steps from 0 to below 1")
    rising = ceil(warmup * total_steps)
    falling = max(total_steps - rising, 1)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        return (1 + cos(pi * min((step - rising) / falling, 1))) / 2

    return LambdaLR(optimizer, factor)


@dataclass(frozen=True)
class Schedule:
    """How the learning rate changes over a training.

    Args:
        make: Builds the scheduler from the optimizer. If it has a parameter ``total_steps``, it is
            given the number of steps that the scheduler takes in the training.
        interval: The scheduler takes a step after each ``step`` of the optimizer or each ``epoch``.

    Raises:
        ValueError: ``make`` cannot be called, or there is no such interval.

    Example:
        >>> Schedule(cosine).needs_end
        True
        >>> from torch.optim.lr_scheduler import ExponentialLR
        >>> Schedule(ExponentialLR, interval="epoch").needs_end
        False
    """

    make: Callable[..., LRScheduler]
    interval: Interval = "step"

    def __post_init__(self) -> None:
        """Reject what is no scheduler, and another interval."""
        if not callable(self.make):
            raise ValueError(f"make={self.make!r} must be a function that builds a scheduler")
        if self.interval not in get_args(Interval):
            raise ValueError(f"interval={self.interval} must be step or epoch")

    @property
    def needs_end(self) -> bool:
        """Whether the schedule depends on the length of the training."""
        return "total_steps" in inspect.signature(self.make).parameters

    def begin(self, optimizer: Optimizer, total_steps: int) -> LRScheduler:
        """Build the scheduler.

        Args:
            optimizer: Whose learning rate it sets.
            total_steps: The number of intervals of the training.
        """
        return self.make(optimizer, **({"total_steps": total_steps} if self.needs_end else {}))
