"""Item usage: where each item of a memory is nearest, its patches, and regions far from all items.

Arrays in, arrays out; drawing is in :mod:`memguard.report.plots`.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import label as connected
from torch import Tensor

# A patch shows the inner half of the 68 pixels that the encoder sees around a query.
PATCH_SIDE = 32
# A gallery has an item's nearest patch in each part of the picture, or one place would fill it.
GALLERY_GRID = 4
GALLERY_PATCHES = 8
# The sample of queries for the plane, and the most queries of one frame in it.
SAMPLED_QUERIES = 400
SAMPLED_OF_FRAME = 4


@dataclass(frozen=True)
class Patch:
    """A piece of a picture whose query is near an item.

    Attributes:
        similarity: The cosine of its query with the item.
        own: Whether no other item is nearer to the query.
        video: The number of the video.
        frame: The 0-based number of the scored frame.
        picture: uint8 (C, h, w), cut around the query's place.
    """

    similarity: float
    own: bool
    video: int
    frame: int
    picture: np.ndarray


class Region(NamedTuple):
    """A part of a map of queries.

    Attributes:
        mask: bool (H, W).
        item: The nearest item of most queries in it.
        distance: Their mean distance to the nearest item, 1 − cosine.
    """

    mask: np.ndarray
    item: int
    distance: float


class ItemUse:
    """Gather the use of a memory's items over any number of frames.

    It holds counts, sixteen patches an item, and a sample of queries, however many frames there
    are. The order of the frames makes no difference.

    Args:
        seed: The seed of the sample.

    Attributes:
        counts: (M, H, W), the queries at each place whose nearest item is each.
        frames: The number of observed frames.

    Example:
        >>> use = ItemUse()
        >>> use.observe(
        ...     query=torch.eye(2).view(1, 1, 2, 2),  # one frame with two queries, side by side
        ...     similarity=torch.tensor([[[[0.9, 0.1], [0.2, 0.8]]]]),
        ...     pictures=torch.zeros(1, 1, 8, 16, dtype=torch.uint8),
        ...     video=torch.tensor([0]), frame=torch.tensor([4]))
        >>> use.counts.tolist()
        [[[1, 0]], [[0, 1]]]
    """

    counts: Tensor

    def __init__(self, seed: int = 0) -> None:
        self.frames = 0
        self._seed = seed
        self._distance = torch.zeros(())
        self._nearest_patches: dict[tuple[int, int, int], Patch] = {}
        self._best = torch.empty(0)
        self._keys, self._queries, self._items = torch.empty(0), torch.empty(0), torch.empty(0)

    def observe(
        self, *, query: Tensor, similarity: Tensor, pictures: Tensor, video: Tensor, frame: Tensor
    ) -> None:
        """Add frames.

        Args:
            query: (B, H, W, C), unit rows.
            similarity: (B, H, W, M), the cosine of each query with each item.
            pictures: uint8 (B, C, h, w), the last frame that the encoder sees.
            video: (B,), the number of each frame's video.
            frame: (B,), each frame's number.
        """
        nearest = similarity.argmax(dim=-1)
        own = F.one_hot(nearest, similarity.shape[-1]).movedim(-1, 1)  # (B, M, H, W)
        used = own.sum(dim=0).cpu()
        self.counts = self.counts + used if self.frames else used
        self.frames += len(query)
        self._distance = self._distance + (1 - similarity.float().amax(dim=-1)).sum(dim=0).cpu()
        self._keep_nearest(similarity.movedim(-1, 1), own, pictures, video, frame)
        self._sample(query.flatten(1, 2), nearest.flatten(1), video, frame)

    def join(self, other: "ItemUse") -> None:
        """Add the use that another process gathered over other frames."""
        self.counts = self.counts + other.counts
        self.frames += other.frames
        self._distance = self._distance + other._distance
        for item, row, column in (other._best > self._best).nonzero().tolist():
            key = item, row, column
            self._nearest_patches[key] = other._nearest_patches[key]
        self._best = torch.maximum(self._best, other._best)
        self._keep_highest(other._keys, other._queries, other._items)

    @property
    def share(self) -> np.ndarray:
        """(M,), the share of all queries whose nearest item is each."""
        total = self.counts.sum(dim=(1, 2)).double()
        return (total / total.sum()).numpy()

    @property
    def usual_distance(self) -> np.ndarray:
        """(H, W), the mean distance of the queries at each place to their nearest item."""
        return (self._distance / self.frames).numpy()

    def gallery(self, item: int) -> list[Patch]:
        """List the patches nearest to an item: its own first, then those nearer to another item."""
        patches = [patch for key, patch in self._nearest_patches.items() if key[0] == item]
        patches.sort(key=lambda patch: (patch.own, patch.similarity), reverse=True)
        return patches[:GALLERY_PATCHES]

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Return queries drawn evenly from all frames, (N, C), and their nearest items, (N,)."""
        return self._queries.numpy(), self._items.numpy()

    def _keep_nearest(
        self, similarity: Tensor, own: Tensor, pictures: Tensor, video: Tensor, frame: Tensor
    ) -> None:
        """Update the nearest patch of each item in each part of the picture."""
        parts = [min(GALLERY_GRID, side) for side in similarity.shape[-2:]]
        rank = similarity.float() + 2 * own  # an item's own patches come first
        highest, place = F.adaptive_max_pool2d(rank, parts, return_indices=True)
        highest, first = highest.max(dim=0)  # (M, rows, columns)
        highest, first, place = highest.cpu(), first.cpu(), place.cpu()
        if not len(self._best):
            self._best = torch.full_like(highest, -torch.inf)
        for item, row, column in (highest > self._best).nonzero().tolist():
            index = int(first[item, row, column])
            at = divmod(int(place[index, item, row, column]), similarity.shape[-1])
            self._nearest_patches[item, row, column] = Patch(
                similarity=float(similarity[index, item][at]),
                own=bool(own[index, item][at]),
                video=int(video[index]),
                frame=int(frame[index]),
                picture=cut_patch(pictures[index], at, tuple(similarity.shape[-2:])),
            )
        self._best = torch.maximum(self._best, highest)

    def _sample(self, query: Tensor, nearest: Tensor, video: Tensor, frame: Tensor) -> None:
        """Draw a random number per query and keep the highest: a uniform sample of all queries."""
        count = min(SAMPLED_OF_FRAME, query.shape[1])
        draws = [
            np.random.default_rng([self._seed, *place]).random(query.shape[1])
            for place in zip(video.tolist(), frame.tolist(), strict=True)
        ]
        keys, places = torch.from_numpy(np.stack(draws)).topk(count, dim=1)
        rows = torch.arange(len(query))[:, None]
        places = places.to(query.device)
        queries = query[rows, places].flatten(0, 1).float().cpu()
        self._keep_highest(keys.flatten(), queries, nearest[rows, places].flatten().cpu())

    def _keep_highest(self, keys: Tensor, queries: Tensor, items: Tensor) -> None:
        """Keep the queries with the highest numbers among these and the sample so far."""
        if len(self._keys):
            keys = torch.cat([self._keys, keys])
            queries, items = torch.cat([self._queries, queries]), torch.cat([self._items, items])
        chosen = keys.topk(min(SAMPLED_QUERIES, len(keys))).indices
        self._keys, self._queries, self._items = keys[chosen], queries[chosen], items[chosen]


def cut_patch(picture: Tensor, place: tuple[int, int], shape: tuple[int, ...]) -> np.ndarray:
    """Cut out the patch around a query.

    Args:
        picture: uint8 (C, h, w).
        place: Row and column of the query.
        shape: Rows and columns of the query map.

    Returns:
        uint8 (C, side, side), around the query's centre, moved to lie within the picture.

    Example:
        >>> cut_patch(torch.zeros(1, 64, 64, dtype=torch.uint8), (0, 7), (8, 8)).shape
        (1, 32, 32)
    """
    spans = []
    for index, count, pixels in zip(place, shape, picture.shape[1:], strict=True):
        side = min(PATCH_SIDE, pixels)
        centre = (index + 0.5) * pixels / count
        start = min(max(round(centre - side / 2), 0), pixels - side)
        spans.append(slice(start, start + side))
    return picture[:, spans[0], spans[1]].cpu().numpy().copy()


def far_region(similarity: np.ndarray, usual: np.ndarray) -> Region:
    """Find the part of a frame that is far from every item, for its place.

    Some places, such as the picture's borders, are always farther than others, so the distance
    beyond the usual one decides. The region contains the query with the largest excess and its
    neighbours whose excess is closer to the largest than to the frame's median.

    Args:
        similarity: (H, W, M), the cosine of each query with each item.
        usual: (H, W), the mean distance of the queries at each place, 1 − cosine.

    Example:
        >>> alike = np.full((3, 3, 2), [0.9, 0.8])
        >>> alike[0, 2] = [0.1, 0.2]
        >>> far_region(alike, np.full((3, 3), 0.1))
        Region(mask=array([[False, False,  True],
               [False, False, False],
               [False, False, False]]), item=1, distance=0.8)
    """
    distance = 1 - similarity.max(axis=-1)
    excess = distance - usual
    far = excess >= (excess.max() + np.median(excess)) / 2
    pieces, _ = connected(far, np.ones((3, 3)))
    mask = pieces == pieces[np.unravel_index(excess.argmax(), excess.shape)]
    item = np.bincount(similarity.argmax(axis=-1)[mask]).argmax()
    return Region(mask, int(item), float(distance[mask].mean()))


def project_to_plane(points: np.ndarray, method: Literal["pca", "tsne"] = "pca") -> np.ndarray:
    """Project points of many dimensions to a plane.

    Args:
        points: (N, C), N ≥ 3.
        method: ``pca``, the first two principal components, or ``tsne``, which starts from them
            and needs scikit-learn.

    Returns:
        (N, 2), each axis min–max normalised to [0, 1].

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    centred = points - points.mean(axis=0)
    plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
    if method == "tsne":
        plane = _tsne(points, plane)
    low, high = plane.min(axis=0), plane.max(axis=0)
    return (plane - low) / np.maximum(high - low, 1e-12)


def _tsne(points: np.ndarray, start: np.ndarray) -> np.ndarray:
    if find_spec("sklearn") is None:
        raise ModuleNotFoundError(
            "method=tsne needs the package scikit-learn, which is not installed: install it with "
            "pip install scikit-learn, or use method=pca.",
            name="sklearn",
        )
    from sklearn.manifold import TSNE  # optional: nothing else needs it

    perplexity = min(30.0, (len(points) - 1) / 3)
    # A start of the size of scikit-learn's own; points that all start at one place stay there.
    start = 1e-4 * start / max(float(start[:, 0].std()), 1e-12)
    return TSNE(init=start, perplexity=perplexity, random_state=0).fit_transform(points)
