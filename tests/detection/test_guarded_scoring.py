"""The test loop: its scores and memory updates against a plain loop over single frames."""

from collections.abc import Iterator
from typing import Literal

import pytest
import torch
from torch import Tensor

from memguard import scoring
from memguard.detection.detector import Detector
from memguard.detection.lookahead import Lookahead
from memguard.model.losses import nearest_items
from memguard.model.memory.mnad import Memory, MemoryRead, read, write
from memguard.scoring.protocols import ScoreConfig
from tests.conftest import small_detector
from tests.detection.conftest import videos

NAMES = ("psnr", "distance", "regular", "written")


@torch.no_grad()
def plain_loop(under_test: Detector, clips: list[Tensor]) -> Iterator[list[tuple[float, ...]]]:
    """Test as in the paper: one frame after the other, without batches."""
    trained = items = under_test.memory.items
    for video in clips:
        items = trained if under_test.guard.scope == "video" else items
        rows = []
        for clip in video.split(1):
            frames, target = under_test.split(clip)
            features, skips = under_test.autoencoder.encoder(frames)
            recalled = read(features, items)
            output = under_test.autoencoder.decoder(recalled.fused, skips)
            regular = scoring.regular_score(output, target)
            nearest = nearest_items(recalled.query, items, 1)[:, :, 0]
            distance = scoring.feature_distance(recalled.query, nearest)
            written = regular < under_test.guard.threshold
            if written:
                items = write(recalled.query[0], items)
            found = (scoring.psnr(output, target), distance, regular, written)
            rows.append(tuple(float(value) for value in found))
        yield rows


def between_regular(clips: list[Tensor]) -> float:
    """A threshold between the lower and the upper half of the frames."""
    rows = [row for video in plain_loop(small_detector(), clips) for row in video]
    ordered = torch.tensor(rows)[:, 2].sort().values
    return float(ordered[len(rows) // 2 - 1 : len(rows) // 2 + 1].mean())


@pytest.mark.parametrize("scope", ["dataset", "video"])
@pytest.mark.parametrize("ahead", [1, 3, 16])
@torch.no_grad()
def test_scores_equal_those_of_a_plain_loop_for_each_lookahead(
    scope: Literal["dataset", "video"], ahead: int
) -> None:
    clips = videos(13, 6, 9)
    under_test = small_detector(scope, between_regular(clips))
    expected = list(plain_loop(under_test, clips))
    under_test.begin_test()
    under_test.guarded_scoring.lookahead = Lookahead(ahead)
    for number, video in enumerate(clips):
        batches = [
            under_test.score_frames(c, torch.full((len(c),), number)) for c in video.split(7)
        ]
        found = [torch.cat([batch[name].double() for batch in batches]) for name in NAMES]
        truth = torch.tensor(expected[number], dtype=torch.float64)
        assert 0 < found[3].sum() < len(found[3])
        assert torch.equal(found[3], truth[:, 3])
        torch.testing.assert_close(torch.stack(found, dim=1), truth, rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_videos_side_by_side_are_scored_as_if_one_by_one() -> None:
    clips = videos(8, 8, 8)
    under_test = small_detector("video", between_regular(clips))
    expected = torch.tensor(list(plain_loop(under_test, clips)), dtype=torch.float64)
    under_test.begin_test()
    under_test.guarded_scoring.lookahead = Lookahead(6)
    number = torch.arange(3)
    for first in range(0, 8, 4):
        batch = torch.stack([video[first : first + 4] for video in clips]).flatten(0, 1)
        scored = under_test.score_frames(batch, number.repeat_interleave(4))
        found = torch.stack([scored[name].double().unflatten(0, (3, 4)) for name in NAMES], dim=2)
        torch.testing.assert_close(found, expected[:, first : first + 4], rtol=1e-6, atol=1e-6)


@torch.no_grad()
def test_patches_have_the_configured_height_and_width() -> None:
    config = ScoreConfig("published", 0.6, (0.25, 0.5), 1.0, causal=False)
    under_test, (clips,) = small_detector(scoring=config), videos(3)
    under_test.begin_test()
    found = under_test.score_frames(clips, torch.zeros(3, dtype=torch.long))
    assert found["patch"].shape == (3, 1, 13, 5)  # of 4 × 8 pixels, one and two pixels apart
    expected = scoring.patch_errors(found["output"], found["target"], [(0.25, 0.5)])
    assert torch.equal(found["patch"], expected)


@torch.no_grad()
def test_the_returned_items_are_those_of_the_last_frames_memory() -> None:
    clips = videos(2, 2)
    under_test = small_detector("video", threshold=9.0)  # every frame updates the memory
    under_test.begin_test()
    found = under_test.score_frames(torch.cat(clips), torch.tensor([0, 0, 1, 1]))
    first, last = under_test.guard.items([0, 1])
    assert not torch.equal(first, last)
    assert torch.equal(found["items"], last)


class OwnMemory(Memory):
    """Reads the items in another order, and updates them half as much."""

    def forward(self, features: Tensor, items: Tensor | None = None) -> MemoryRead:
        return read(features, (self.items if items is None else items).flip(-1))

    def write(
        self,
        query: Tensor,
        items: Tensor,
        similarity: Tensor | None = None,
        *,
        across_processes: bool = False,
    ) -> Tensor:
        written = super().write(query, items, similarity, across_processes=across_processes)
        return (items + written) / 2


@torch.no_grad()
def test_training_and_test_read_and_write_as_an_own_memory_does() -> None:
    clips = videos(1)[0]
    under_test = small_detector(threshold=9.0)
    under_test.memory = OwnMemory(size=5, dim=8)
    trained = under_test.memory.items
    frames, _ = under_test.split(clips)
    features, skips = under_test.autoencoder.encoder(frames)
    own = read(features, trained.flip(-1))
    expected = under_test.autoencoder.decoder(own.fused, skips)
    updated = (trained + write(own.query, trained, own.similarity)) / 2

    torch.testing.assert_close(under_test.predict(clips)[0], expected)
    under_test.begin_test()
    scored = under_test.score_frames(clips, torch.zeros(len(clips), dtype=torch.int64))
    torch.testing.assert_close(scored["output"], expected)
    torch.testing.assert_close(scored["items"], (trained + write(own.query, trained)) / 2)
    under_test.learn(clips)
    torch.testing.assert_close(under_test.memory.items, updated)
