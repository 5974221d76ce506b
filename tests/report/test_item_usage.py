"""The gathered use of the memory."""

from typing import Literal

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from memguard.report import item_usage as memory
from memguard.report.item_usage import ItemUse, cut_patch, far_region, project_to_plane


def observe(use: ItemUse, query: Tensor, items: Tensor, video: int, first: int = 0) -> Tensor:
    """Show frames (B, H, W, C) whose pictures hold their own number everywhere."""
    query = F.normalize(query, dim=-1)
    count, height, width, _ = query.shape
    numbers = torch.arange(first, first + count)
    pictures = numbers.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8 * height, 8 * width)
    similarity = query @ items.T
    use.observe(
        query=query,
        similarity=similarity,
        pictures=pictures,
        video=torch.full((count,), video),
        frame=numbers,
    )
    return similarity


def test_counts_share_and_distance_are_those_of_all_frames_together() -> None:
    torch.manual_seed(0)
    use, items = ItemUse(), F.normalize(torch.randn(3, 5), dim=1)
    parts = [observe(use, torch.randn(4, 8, 8, 5), items, video) for video in range(2)]
    similarity = torch.cat(parts)
    nearest = similarity.argmax(dim=-1)
    for item in range(3):
        assert torch.equal(use.counts[item], (nearest == item).sum(dim=0))
        assert use.share[item] == pytest.approx(float((nearest == item).double().mean()))
    usual = (1 - similarity.amax(dim=-1)).mean(dim=0)
    assert np.allclose(use.usual_distance, usual.numpy(), atol=1e-6)


def test_a_gallery_begins_with_the_nearest_patch_of_all_and_names_its_frame() -> None:
    torch.manual_seed(0)
    use, items = ItemUse(), torch.eye(4)
    query = torch.rand(6, 8, 8, 4)
    query[4, 2, 5] = torch.tensor([0, 0, 1, 0])
    observe(use, query[:3], items, video=0)
    observe(use, query[3:], items, video=1, first=3)
    first = use.gallery(2)[0]
    assert (first.video, first.frame, first.own) == (1, 4, True)
    assert first.similarity == pytest.approx(1)
    assert np.array_equal(first.picture, np.full((1, 32, 32), 4))


def test_a_gallery_shows_different_places_and_its_own_before_those_of_other_items() -> None:
    use, items = ItemUse(), torch.eye(2)
    query = torch.tensor([0.9, 1.0]).expand(1, 8, 8, 2).clone()  # near to both, nearer to 1
    query[0, :2, :2] = torch.tensor([1.0, 0.95])  # one part of the picture is item 0's
    observe(use, query, items, video=0)
    own = [patch.own for patch in use.gallery(0)]
    assert own == [True] + [False] * (memory.GALLERY_PATCHES - 1)
    assert all(patch.own for patch in use.gallery(1))


def test_what_is_held_does_not_grow_with_the_frames() -> None:
    torch.manual_seed(0)
    use, items = ItemUse(), F.normalize(torch.randn(3, 5), dim=1)
    for batch in range(40):
        observe(use, torch.randn(16, 8, 8, 5), items, video=batch, first=16 * (batch % 4))
    queries, nearest = use.sample()
    assert queries.shape == (memory.SAMPLED_QUERIES, 5)
    assert np.array_equal((queries @ items.numpy().T).argmax(axis=1), nearest)
    assert len(use._nearest_patches) == 3 * memory.GALLERY_GRID**2


def test_a_patch_lies_around_its_query() -> None:
    picture = torch.arange(64 * 64).view(1, 64, 64)
    assert cut_patch(picture, (4, 4), (8, 8))[0, 0, 0] == 20 * 64 + 20
    assert cut_patch(picture, (0, 7), (8, 8))[0, 0, 0] == 32


def test_a_region_is_far_for_its_place() -> None:
    alike = np.full((8, 8, 2), [0.9, 0.5])
    usual = np.full((8, 8), 0.1)
    alike[:, 0, 0], usual[:, 0] = 0.5, 0.5  # the border is always far
    alike[3:5, 4:6] = [0.2, 0.3]
    region = far_region(alike, usual)
    assert region.mask[3:5, 4:6].all()
    assert region.mask.sum() == 4
    assert region.item == 1
    assert region.distance == pytest.approx(0.7)


@pytest.mark.parametrize("method", ["pca", "tsne"])
def test_groups_stay_groups_on_the_plane(method: Literal["pca", "tsne"]) -> None:
    rng = np.random.default_rng(0)
    group = np.repeat([0, 1], 20)
    points = rng.normal(0, 0.05, (40, 6)) + np.where(group[:, None], 1.0, -1.0)
    plane = project_to_plane(points.astype(np.float32), method)
    assert plane.min() == 0
    assert plane.max() == pytest.approx(1)
    distance = np.linalg.norm(plane[:, None] - plane[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    assert np.array_equal(group[distance.argmin(axis=1)], group)


def test_the_plane_is_that_of_principal_components_whatever_is_installed() -> None:
    across, down = (side.flatten() for side in np.meshgrid(np.arange(6.0), np.arange(4.0)))
    plane = project_to_plane(np.stack([np.zeros(24), down, 2 * across], axis=1))
    for place, coordinate in zip(plane.T, (across / 5, down / 3), strict=True):
        assert np.allclose(place, coordinate) or np.allclose(place, 1 - coordinate)


def test_tsne_names_the_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memguard.report.item_usage.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="needs the package scikit-learn"):
        project_to_plane(np.eye(5), "tsne")
