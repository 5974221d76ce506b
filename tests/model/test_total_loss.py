"""The total loss: what its terms read, their weights and their names."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from memguard.model.total_loss import READABLE, Term, TotalLoss

STEP = {name: torch.full((), float(number)) for number, name in enumerate(READABLE, start=1)}


def first_two(target: Tensor, prediction: Tensor) -> Tensor:
    return 10 * prediction + target


def scaled(recalled: Tensor, factor: float, *, more: float = 0.0) -> Tensor:
    return recalled * factor + more


class Learned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, similarity: Tensor, items: Tensor) -> Tensor:
        return self.scale * similarity + 10 * items


class Callable:
    def __call__(self, query: Tensor) -> Tensor:
        return query


@pytest.mark.parametrize(
    ("compute", "reads", "value"),
    [
        (first_two, ("target", "prediction"), 10 * 1 + 2),
        (partial(scaled, factor=3.0, more=1), ("recalled",), 3 * 5 + 1),
        (Learned(), ("similarity", "items"), 2 * 6 + 10 * 4),
        (Callable(), ("query",), 3),
    ],
)
def test_a_term_reads_what_its_parameters_name(
    compute: Any, reads: tuple[str, ...], value: float
) -> None:
    term = Term(compute)
    assert term.reads == reads
    assert float(term(**STEP)) == value


@pytest.mark.parametrize(
    ("compute", "sentence"),
    [
        (scaled, "^it reads factor, but a term of the loss reads prediction, target, query, items"),
        (lambda *values: values[0], "^it reads nothing, but"),
        (lambda margin=1: margin, "^it reads nothing, but"),
    ],
)
def test_a_term_that_reads_something_else_is_refused(compute: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Term(compute)


@pytest.mark.parametrize("weight", [-1, True, "1", None, float("nan"), float("inf")])
def test_a_weight_is_a_number_of_at_least_0(weight: Any) -> None:
    with pytest.raises(ValueError, match=rf"^weight={weight} must be a number of at least 0"):
        Term(first_two, weight)


def test_the_sum_is_weighted_and_its_terms_are_not() -> None:
    terms = {
        "a": Term(first_two, 0.5),
        "b": Term(partial(scaled, factor=1), 3),
        "c": Term(Callable()),
    }
    total, values = TotalLoss(terms)(**STEP)
    assert {name: float(value) for name, value in values.items()} == {"a": 12, "b": 5, "c": 3}
    assert float(total) == 0.5 * 12 + 3 * 5 + 3


@pytest.mark.parametrize("name", ["loss", "psnr", "lr", "items", "train", "no-name", "a.b"])
def test_a_name_that_is_taken_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"^a term cannot be named {name}"):
        TotalLoss({name: Term(first_two)})
