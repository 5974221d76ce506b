"""The columns of a test do not depend on its batches."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from memguard.data.clips.windows import ClipBatch
from memguard.detection.baselines import PreviousFrame
from memguard.scoring.protocols import ScoreConfig

PATCH = ScoreConfig("patch", weight=0.3, patch=(0.5, 0.25), smoothing=1.0, causal=False)


def video(frames: int, seed: int) -> Tensor:
    """Windows of two frames."""
    random = torch.Generator().manual_seed(seed)
    pictures = torch.randint(256, (frames + 1, 1, 8, 8), generator=random, dtype=torch.uint8)
    return torch.stack([pictures[:-1], pictures[1:]], dim=1)


def batch(*parts: tuple[int, Tensor, int]) -> ClipBatch:
    """A batch with windows of several videos: each video's number, windows and first frame."""
    return ClipBatch(
        torch.cat([windows for _, windows, _ in parts]),
        video=torch.cat([torch.full((len(w),), number) for number, w, _ in parts]),
        frame=torch.cat([torch.arange(len(w)) + first for _, w, first in parts]),
        label=torch.cat([torch.full((len(w),), number % 2) for number, w, _ in parts]),
    )


def columns_of(scorer: PreviousFrame, batches: Sequence[ClipBatch]) -> dict[str, Tensor]:
    scorer.on_test_epoch_start()
    for number, each in enumerate(batches):
        scorer.test_step(each, number)
    return scorer.joined_frames()


def test_the_columns_do_not_depend_on_the_batches() -> None:
    one, other = video(9, seed=0), video(7, seed=1)
    whole = columns_of(PreviousFrame(PATCH), [batch((4, one, 1)), batch((7, other, 1))])
    parts = [batch((4, one[:5], 1)), batch((4, one[5:], 6)), batch((7, other, 1))]
    beside = [batch((4, one[:5], 1), (7, other[:3], 1)), batch((4, one[5:], 6), (7, other[3:], 4))]
    for batches in (parts, beside):
        found = columns_of(PreviousFrame(PATCH), batches)
        for name, column in whole.items():
            torch.testing.assert_close(found[name], column, equal_nan=True, msg=name)
    assert whole["video"].tolist() == [4] * 9 + [7] * 7
    assert whole["frame"].tolist() == [*range(1, 10), *range(1, 8)]
    assert whole["label"].tolist() == [0] * 9 + [1] * 7


def test_the_score_is_the_configured_one() -> None:
    frames = columns_of(PreviousFrame(PATCH), [batch((0, video(9, seed=0), 1))])
    assert torch.equal(frames["score"], frames["patch"])
    assert not torch.equal(frames["score"], PATCH.scores(frames)["published"])


def test_tests_are_independent_also_after_an_interrupted_one() -> None:
    scorer = PreviousFrame(PATCH)
    columns_of(scorer, [batch((0, video(9, seed=0), 1))])
    scorer.on_test_epoch_start()
    scorer.test_step(batch((1, video(9, seed=0), 1)), 0)
    frames = columns_of(scorer, [batch((2, video(3, seed=0), 1))])
    assert frames["video"].tolist() == [2, 2, 2]


def test_a_test_of_one_frame_works() -> None:
    frames = columns_of(PreviousFrame(PATCH), [batch((3, video(1, seed=0), 1))])
    assert frames.pop("regions").shape == (1, 5, 5)
    assert all(column.shape == (1,) for column in frames.values())


def test_regions_of_a_test_are_in_pixels_of_the_recorded_picture() -> None:
    clips = torch.zeros(3, 2, 1, 16, 32, dtype=torch.uint8)
    clips[:, 1, 0, 5:11, 20:28] = 100
    clips[1] = 0
    scoring = ScoreConfig("published", 0.3, [(0.25, 0.125), (0.5, 0.25)], 0, causal=False)
    scorer = PreviousFrame(scoring)
    scorer.frames = columns_of(scorer, [batch((6, clips[:1], 9), (2, clips[1:], 4))])
    found = scorer.listed(scorer.frames.pop("regions"), {2: (48, 64), 6: (160, 96)})
    assert found[:, :2].tolist() == [[2, 5], [6, 9]]
    # 20, 5, 28 and 11 pixels of the tested frame, to half a pixel of it
    expected = torch.tensor([[40.0, 15, 56, 33], [60, 50, 84, 110]])
    assert ((found[:, 2:6] - expected).abs() <= torch.tensor([[1, 1.5] * 2, [2, 5] * 2])).all()
    # half of a patch of 8 by 8 pixels lies beyond the object in neither size
    assert found[:, 6].tolist() == pytest.approx([(100 / 255) ** 2 * (6 / 8) ** 0.5] * 2)
