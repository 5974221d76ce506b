"""Learning rates over a training, against numbers worked out by hand."""

from math import cos, pi

import pytest
import torch
from torch.optim.lr_scheduler import ExponentialLR, LRScheduler, OneCycleLR, StepLR

from memguard.model.schedules import Schedule, cosine, warmup_cosine


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)


def rates(scheduler: LRScheduler, steps: int) -> list[float]:
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return [*found, scheduler.optimizer.param_groups[0]["lr"]]


def test_a_cosine_comes_down_to_0_after_the_last_step() -> None:
    expected = [1 + cos(pi * step / 5) for step in range(6)]
    assert rates(cosine(optimizer(), 5), 5) == pytest.approx(expected)


def test_a_warm_up_rises_to_the_learning_rate_and_a_cosine_follows() -> None:
    expected = [2 / 3, 4 / 3, 2, *(1 + cos(pi * step / 7) for step in range(8))]
    assert rates(warmup_cosine(optimizer(), 10, warmup=0.25), 10) == pytest.approx(expected)
    plain = rates(cosine(optimizer(), 5), 5)
    assert rates(warmup_cosine(optimizer(), 5, warmup=0), 5) == pytest.approx(plain)


@pytest.mark.parametrize("warmup", [-0.1, 1, float("nan")])
def test_a_warm_up_is_a_share_of_the_steps(warmup: float) -> None:
    with pytest.raises(ValueError, match=rf"^warmup={warmup} must be a share"):
        warmup_cosine(optimizer(), 10, warmup=warmup)


def test_a_schedule_is_given_the_number_of_steps_if_it_takes_it() -> None:
    assert Schedule(OneCycleLR).needs_end
    assert not Schedule(StepLR).needs_end
    assert Schedule(cosine).begin(optimizer(), 7).T_max == 7  # type: ignore[attr-defined]
    halved = Schedule(lambda by: ExponentialLR(by, gamma=0.5)).begin(optimizer(), total_steps=7)
    assert rates(halved, 2) == [2, 1, 0.5]


def test_a_schedule_has_an_interval_of_lightning() -> None:
    with pytest.raises(ValueError, match=r"^interval=batch must be step or epoch"):
        Schedule(cosine, interval="batch")  # type: ignore[arg-type]


def test_a_schedule_is_made_by_a_function() -> None:
    with pytest.raises(ValueError, match=r"^make=3 must be a function that builds a scheduler"):
        Schedule(3)  # type: ignore[arg-type]
