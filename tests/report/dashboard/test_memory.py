"""The statistics of a memory, by hand."""

from math import log

import pytest
import torch

from memguard.report.dashboard.memory import item_statistics


def test_item_statistics_by_hand() -> None:
    items = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    found = item_statistics(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([0.0, 0.1, 0.5]), items)
    expected = {
        "memory/items": 3, "memory/dead": 1, "memory/entropy": log(2), "memory/drift_mean": 0.2,
        "memory/drift_max": 0.5, "memory/cosine_mean": (0 + 0.6 + 0.8) / 3,
        "memory/cosine_max": 0.8,
    }  # fmt: skip
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)


def test_a_single_item_is_compared_with_none() -> None:
    found = item_statistics(torch.ones(1), torch.zeros(1), torch.tensor([[1.0, 0.0]]))
    assert "memory/cosine_max" not in found
    assert float(found["memory/entropy"]) == 0
