"""An endless stream: the past that counts, and the past that does not."""

from collections.abc import Iterator, Sequence
from typing import Literal

import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from memguard.data.video.stream import Pictures
from memguard.detection.events import ScoredPicture
from memguard.live.scorer import LiveScorer
from memguard.scoring.protocols import ScoreConfig
from tests.conftest import small_detector

HOW = ScoreConfig("patch", 0.6, (0.25, 0.5), smoothing=1.0, causal=True)


class Film:
    """Pictures in parts of some lengths; a part that is marked does not follow the one before."""

    name, fps, length = "film", 25.0, None

    def __init__(self, pictures: Tensor, parts: Sequence[int], gaps: Sequence[int] = ()) -> None:
        self._pictures, self._parts, self._gaps = pictures, parts, gaps

    def __iter__(self) -> Iterator[Pictures]:
        first = 0
        for place, count in enumerate(self._parts):
            rgb = self._pictures[first : first + count]
            seconds = [1 + 2 * number for number in range(first, first + count)]
            follows = first > 0 and place not in self._gaps
            yield Pictures(rgb, first, seconds, follows)  # type: ignore[arg-type]
            first += count


def pictures(count: int, seed: int = 0) -> Tensor:
    """Grey noise of 16 × 16 with a bright corner that wanders."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randint(256, (count, 1, 16, 16), generator=random, dtype=torch.uint8)
    return noise.expand(-1, 3, -1, -1).contiguous()


def scorer(scope: Literal["dataset", "video"] = "dataset", threshold: float = 0.0) -> LiveScorer:
    detector = small_detector(scope, threshold, scoring=HOW)
    detector.alarm.calibrate([torch.linspace(0, 1, 101)])
    config = OmegaConf.create(
        {
            "trainer": {"accelerator": "cpu", "precision": "32-true"},
            "data": {"frame_size": 16, "channels": 1},
            "task": {"past": 4},
        }
    )
    return LiveScorer(detector, config)


def numbers(found: Sequence[ScoredPicture]) -> list[tuple[float, ...]]:
    return [(e.moment.frame, e.score, e.psnr, e.distance, e.regular) for e in found]


def close(one: Sequence[ScoredPicture], other: Sequence[ScoredPicture]) -> bool:
    pairs = zip(numbers(one), numbers(other), strict=True)
    return all(a == pytest.approx(b, rel=1e-4, abs=1e-5) for a, b in pairs)


def test_the_parts_that_pictures_come_in_make_no_difference() -> None:
    film = pictures(14)
    whole = list(scorer().watch(Film(film, [14])))
    assert [each.moment for each in whole] == [(n, 1 + 2 * n) for n in range(4, 14)]
    assert all(torch.equal(each.rgb, film[each.moment.frame]) for each in whole)
    parts = list(scorer().watch(Film(film, [2, 1, 3, 5, 3])))
    assert close(parts, whole)
    assert all(torch.equal(each.rgb, film[each.moment.frame]) for each in parts)


def test_after_a_gap_nothing_of_the_past_counts() -> None:
    film = pictures(16)
    found = list(scorer().watch(Film(film, [8, 3, 5], gaps=[1])))
    assert [each.moment.frame for each in found] == [4, 5, 6, 7, 12, 13, 14, 15]
    fresh = list(scorer().watch(Film(film[8:], [8])))
    assert [row[1:] for row in numbers(found[4:])] == [
        pytest.approx(row[1:], rel=1e-4, abs=1e-5) for row in numbers(fresh)
    ]


@pytest.mark.parametrize(("parts", "warned"), [([3], 3), ([4, 4], 8), ([5], None), ([2, 6], None)])
def test_a_stream_without_a_score_is_warned_of(
    parts: list[int], warned: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    scored = list(scorer().watch(Film(pictures(sum(parts)), parts, gaps=[1])))
    assert (scored == []) == (warned is not None)
    sentence = "film: no frame is scored, as each score needs 5 frames in a row, and there are"
    assert caplog.messages == ([f"{sentence} {warned}."] if warned else [])


def test_with_scope_video_each_video_begins_with_the_trained_items() -> None:
    film, watched = pictures(10), scorer("video", threshold=9.0)
    first, again = (list(watched.watch(Film(film, [10]))) for _ in range(2))
    assert all(each.written for each in first)
    assert close(again, first)
    carried = scorer("dataset", threshold=9.0)
    first, again = (list(carried.watch(Film(film, [10]))) for _ in range(2))
    assert not close(again, first)


def test_the_score_is_the_alarms_of_the_patches_smoothed_over_the_past() -> None:
    film, watched = pictures(9), scorer()
    found = list(watched.watch(Film(film, [9])))
    clips = film[:, :1].unfold(0, 5, 1).movedim(-1, 1)
    with torch.no_grad():
        patch = small_detector(scoring=HOW)
        patch.begin_test()
        errors = patch.score_frames(clips, torch.zeros(5, dtype=torch.long))["patch"]
    expected = watched.alarm.score(HOW.worst_patch(errors))
    assert [each.score for each in found] == pytest.approx(expected.tolist(), rel=1e-4)


def test_the_box_is_where_the_picture_errs_most() -> None:
    film = torch.full((9, 3, 16, 32), 128, dtype=torch.uint8)
    film[8, :, 2:6, 24:32] = 255  # unlike any picture before
    found = list(scorer().watch(Film(film, [9])))
    left, top, right, bottom = found[-1].box
    assert (left < 32, right > 24, top < 6, bottom > 2) == (True,) * 4
    assert (right - left, bottom - top) == (16, 4)  # a half of the width, a quarter of the height
