"""The loss of a training step: a weighted sum of named terms."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial, reduce
from math import inf
from operator import add

from torch import Tensor, nn

from memguard.model.losses import compactness_loss, pixel_loss, separateness_loss
from memguard.model.memory.base import MemoryRead

# The values of a step, as :func:`readable` has them. A term reads those that its parameters name.
READABLE = ("prediction", "target", "query", "items", "recalled", "similarity", "attention")

# Metrics of a step that are no terms: train/loss, train/psnr, train/lr.
TAKEN_NAMES = ("loss", "psnr", "lr")


class Term(nn.Module):
    """One term of the loss.

    Args:
        compute: A function or module that returns a number. Its parameters name what it reads:

            - ``prediction``, ``target``: (B, C, H, W), values in [−1, 1].
            - ``query``: (B, K, C), unit rows.
            - ``items``: (M, C), unit rows, those that were read; with gradient only where no query
              writes them. A row of zeros is no item.
            - ``recalled``: (B, K, C), the mixture of items read for each query.
            - ``similarity``: (B, K, M), the cosine of each query with each item; without gradient.
            - ``attention``: (B, K, M), the weight of each item in the mixture.

            Any other parameter needs a default.
        weight: Its factor in the sum.

    Raises:
        ValueError: If ``compute`` reads nothing of these, or something else; or if the weight is no
            number of at least 0.

    Example:
        >>> Term(pixel_loss, weight=0.5).reads
        ('prediction', 'target')
    """

    def __init__(self, compute: Callable[..., Tensor], weight: float = 1.0) -> None:
        super().__init__()
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < inf:
            raise ValueError(f"weight={weight} must be a number of at least 0")
        self.compute = compute
        self.weight = weight
        self.reads = _reads(compute)

    def forward(self, **step: Tensor) -> Tensor:
        """Compute the term, without its weight, from what a step knows."""
        return self.compute(**{name: step[name] for name in self.reads})


def _reads(compute: Callable[..., Tensor]) -> tuple[str, ...]:
    call = compute.forward if isinstance(compute, nn.Module) else compute
    parameters = inspect.signature(call).parameters.values()
    needed = [p for p in parameters if p.default is p.empty and p.kind not in _VARIADIC]
    unknown = [p.name for p in needed if p.name not in READABLE]
    reads = tuple(p.name for p in parameters if p.name in READABLE)
    if unknown or not reads:
        what = f"reads {', '.join(unknown)}" if unknown else "reads nothing"
        raise ValueError(
            f"it {what}, but a term of the loss reads {', '.join(READABLE)}, and its other "
            "parameters are settings"
        )
    return reads


def readable(
    output: Tensor, target: Tensor, recalled: MemoryRead, items: Tensor
) -> dict[str, Tensor]:
    """Name the values of a step that its terms may read; see :class:`Term`.

    Args:
        output: (B, C, H, W), the predicted or reconstructed frames.
        target: The same shape.
        recalled: The result of reading the memory.
        items: (M, C), the items that were read.
    """
    values = (
        output.float(),
        target,
        recalled.query,
        items,
        recalled.recalled,
        recalled.similarity.detach(),
        recalled.attention,
    )
    return dict(zip(READABLE, values, strict=True))


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class TotalLoss(nn.Module):
    """A weighted sum of named terms.

    Terms may be modules with weights of their own; the optimizer leaves these unchanged.

    Args:
        terms: The terms, each logged as ``train/<name>``.

    Raises:
        ValueError: If a name is taken.

    Example:
        >>> import torch
        >>> loss = TotalLoss({"pixel": Term(pixel_loss, weight=2.0)})
        >>> loss(prediction=torch.zeros(1, 1, 2, 2), target=torch.ones(1, 1, 2, 2))
        (tensor(2.), {'pixel': tensor(1.)})
    """

    def __init__(self, terms: Mapping[str, Term]) -> None:
        super().__init__()
        for name in terms:
            if not name.isidentifier() or name in TAKEN_NAMES or hasattr(nn.ModuleDict, name):
                raise ValueError(f"a term cannot be named {name}: choose another name")
        self.terms = nn.ModuleDict(terms)

    def forward(self, **step: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Compute the loss from what a step knows; see :class:`Term`.

        Returns:
            The sum, and each term without its weight.
        """
        values = {name: term(**step) for name, term in self.terms.items()}
        weights = {name: term.weight for name, term in self.terms.items()}
        weighted = (v if weights[n] == 1 else weights[n] * v for n, v in values.items())
        return reduce(add, weighted), values


def published_loss(compactness: float, separateness: float, margin: float = 1.0) -> TotalLoss:
    """Build the published loss: pixel + λc·compactness + λs·separateness.

    Args:
        compactness: The weight λc.
        separateness: The weight λs.
        margin: The margin of the separateness loss.

    Example:
        >>> list(published_loss(compactness=0.1, separateness=0.1).terms)
        ['pixel', 'compactness', 'separateness']
    """
    return TotalLoss(
        {
            "pixel": Term(pixel_loss),
            "compactness": Term(compactness_loss, compactness),
            "separateness": Term(partial(separateness_loss, margin=margin), separateness),
        }
    )
