"""Arguments that do not fit are rejected; PyTorch would broadcast them to wrong values."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard import scoring
from memguard.model.losses import compactness_loss, nearest_items, separateness_loss
from memguard.model.memory import Memory, item_use, queries_per_item, read, write
from memguard.model.shapes import require_shapes
from memguard.scoring.metrics import FrameAUROC, FrameTable
from tests.conftest import small_detector

B, K, C, M = 2, 9, 5, 4


def rows(*shape: int) -> Tensor:
    """Unit rows."""
    torch.manual_seed(0)
    return F.normalize(torch.randn(*shape), dim=-1)


def nearest_two(query: Tensor, items: Tensor, similarity: Tensor | None = None) -> Tensor:
    return nearest_items(query, items, 2, similarity)


def separateness(query: Tensor, items: Tensor, similarity: Tensor | None = None) -> Tensor:
    return separateness_loss(query, items, 1.0, similarity)


OF_QUERIES = [
    ("query", (K, C), (M, C), None),
    ("query", (1, B, K, C), (M, C), None),
    ("items", (B, K, C), (M, C + 1), None),
    ("items", (B, K, C), (C,), None),
    ("items", (B, K, C), (B + 1, M, C), None),
    ("items", (B, K, C), (1, M, C), None),
    ("similarity", (B, K, C), (M, C), (K, M)),
    ("similarity", (B, K, C), (M, C), (B, K, M + 1)),
    ("similarity", (B, K, C), (M, C), (B, M, K)),
    ("similarity", (B, K, C), (B, M, C), (1, K, M)),
]


@pytest.mark.parametrize("function", [compactness_loss, separateness, nearest_two])
@pytest.mark.parametrize(("name", "query", "items", "similarity"), OF_QUERIES)
def test_losses_reject_other_shapes(
    function: Callable[..., Tensor],
    name: str,
    query: tuple[int, ...],
    items: tuple[int, ...],
    similarity: tuple[int, ...] | None,
) -> None:
    known = None if similarity is None else torch.rand(similarity)
    with pytest.raises(ValueError, match=rf"^{name} must have the shape \("):
        function(rows(*query), rows(*items), known)


@pytest.mark.parametrize("items", [(0, C + 1), (1, C + 1)])
def test_losses_of_zero_reject_them_too(items: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^items "):
        separateness_loss(rows(B, K, C), torch.zeros(items))
    with pytest.raises(ValueError, match=r"^query "):
        compactness_loss(rows(K, C), torch.zeros(0, C))


@pytest.mark.parametrize(("name", "query", "items", "similarity"), OF_QUERIES[1:6] + OF_QUERIES[7:])
def test_a_write_rejects_other_shapes(
    name: str,
    query: tuple[int, ...],
    items: tuple[int, ...],
    similarity: tuple[int, ...] | None,
) -> None:
    known = None if similarity is None else torch.rand(similarity)
    with pytest.raises(ValueError, match=rf"^{name} must have the shape \("):
        write(rows(*query), rows(*items), known)


def test_queries_without_rows_of_a_batch_have_no_memory_of_their_own_each() -> None:
    with pytest.raises(ValueError, match=re.escape("items must have the shape (M, C)")):
        write(rows(K, C), rows(B, M, C))
    with pytest.raises(ValueError, match=re.escape("similarity must have the shape (K, M)")):
        write(rows(K, C), rows(M, C), torch.rand(1, K, M))
    with pytest.raises(ValueError, match=re.escape("query must have the shape (B, K, C)")):
        Memory(M, C).update(rows(K, C))


@pytest.mark.parametrize(
    ("name", "features", "items"),
    [
        ("features", (C, 3, 3), (M, C)),
        ("features", (B, C, 9), (M, C)),
        ("items", (B, C, 3, 3), (M, C + 1)),
        ("items", (B, C, 3, 3), (B + 1, M, C)),
        ("items", (B, C, 3, 3), (1, M, C)),
        ("items", (B, C, 3, 3), (1, B, M, C)),
    ],
)
def test_a_read_rejects_other_shapes(
    name: str, features: tuple[int, ...], items: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must have the shape \("):
        read(torch.rand(features), rows(*items))


def test_the_use_of_items_is_counted_over_a_batch() -> None:
    with pytest.raises(ValueError, match=r"^similarity "):
        queries_per_item(torch.rand(K, M))
    with pytest.raises(ValueError, match=r"^item_counts "):
        item_use(torch.rand(B, M), rows(M, C))
    with pytest.raises(ValueError, match=r"^items .* M = 4"):
        item_use(torch.rand(M), rows(M + 1, C))


@pytest.mark.parametrize(
    "function",
    [
        scoring.psnr,
        scoring.regular_score,
        scoring.squared_error,
        lambda output, target: scoring.patch_error(output, target, (0.5, 0.5)),
    ],
)
@pytest.mark.parametrize(
    ("name", "output", "target"),
    [
        ("target", (2, 3, 4, 4), (3, 4, 4)),
        ("target", (2, 3, 4, 4), (2, 1, 4, 4)),
        ("target", (2, 1, 4, 4), (2, 1, 4, 1)),
        ("target", (2, 1, 4, 4), (1, 1, 4, 4)),
        ("output", (3, 4, 4), (3, 4, 4)),
    ],
)
def test_scores_of_frames_reject_other_shapes(
    function: Callable[..., Tensor], name: str, output: tuple[int, ...], target: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=rf"^{name} must have the shape \(B, C, H, W\)"):
        function(torch.rand(output), torch.rand(target))


def test_scores_of_series_reject_other_shapes() -> None:
    with pytest.raises(ValueError, match=r"^nearest "):
        scoring.feature_distance(rows(B, K, C), rows(1, K, C))
    with pytest.raises(ValueError, match=r"^query "):
        scoring.feature_distance(rows(K, C), rows(K, C))
    with pytest.raises(ValueError, match=r"^videos "):
        scoring.normalise_per_video(np.ones(3), ["a", "a"])
    with pytest.raises(ValueError, match=r"^values "):
        scoring.normalise_per_video(torch.rand(3, 2), torch.zeros(3))
    with pytest.raises(ValueError, match=r"^videos "):
        scoring.normalise_by_widest(torch.rand(3), torch.zeros(1))
    with pytest.raises(ValueError, match=r"^values "):
        scoring.smooth_per_video(torch.rand(3, 1), torch.zeros(3), 1.0)
    with pytest.raises(ValueError, match=r"^distance "):
        scoring.anomaly_score(np.ones(3), np.ones(1), ["a"] * 3, 0.6)


def test_metrics_reject_columns_of_unequal_length() -> None:
    # A second update could make up for it in number, and shift labels against scores.
    with pytest.raises(ValueError, match=r"^label "):
        FrameAUROC().update(torch.rand(3), torch.ones(2), torch.zeros(3))
    table = FrameTable(["psnr", "patch"])
    ones = torch.ones(3)
    with pytest.raises(ValueError, match=r"^psnr .* with N = 3 as in video, but it has"):
        table.update(video=ones, frame=ones, psnr=torch.ones(1), patch=torch.ones(3, 2, 2))
    table.update(video=ones, frame=ones, psnr=ones, patch=torch.ones(3, 2, 2))


def test_a_single_window_is_no_batch_of_them() -> None:
    with pytest.raises(ValueError, match=r"^clips "):
        small_detector().split(torch.zeros(5, 1, 16, 16, dtype=torch.uint8))


def test_a_refusal_names_argument_expected_and_found_shape() -> None:
    refusal = (
        "items must have the shape (M, C) or (B, M, C) with B = 2 and C = 5 as in query, but it "
        "has (3, 4, 5)."
    )
    with pytest.raises(ValueError, match=re.escape(refusal)):
        compactness_loss(rows(B, K, C), rows(3, M, C))


@pytest.mark.parametrize("shape", [(2, 3), (2,), (2, 3, 4)])
def test_any_further_dimensions_fit_where_they_are_meant_to(shape: tuple[int, ...]) -> None:
    require_shapes(values=(torch.zeros(shape), "N …"))


def test_a_compiled_step_holds_the_checks_in_one_graph() -> None:
    losses = torch.compile(compactness_loss, fullgraph=True, backend="eager")
    query, items = rows(B, K, C), rows(M, C)
    assert losses(query, items) == compactness_loss(query, items)
