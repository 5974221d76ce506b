"""An endless stream: the past that counts, and the past that does not."""

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from torch import Tensor

from memguard.data.video.stream import Interruption, Pictures, Stream
from memguard.detection.events import Moment, ScoredPicture
from memguard.live.scorer import LiveScorer
from memguard.scoring import smooth_over_time, worst_patch
from memguard.scoring.protocols import ScoreConfig
from tests.conftest import small_detector

HOW = ScoreConfig("patch", 0.6, (0.25, 0.5), smoothing=1.0, causal=True)


class Film:
    """Pictures in parts of some lengths; a part that is marked does not follow the one before."""

    name, fps, length = "film", 25.0, None
    dropped = torn = 0

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


def pictures(count: int, seed: int = 0) -> np.ndarray:
    """Grey noise of 16 × 16 with a bright corner that wanders."""
    random = torch.Generator().manual_seed(seed)
    noise = torch.randint(256, (count, 1, 16, 16), generator=random, dtype=torch.uint8)
    return noise.expand(-1, 3, -1, -1).contiguous().numpy()


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


def scores(scorer: LiveScorer, stream: Stream) -> list[ScoredPicture]:
    return [each for each in scorer.watch(stream) if isinstance(each, ScoredPicture)]


def numbers(found: Sequence[ScoredPicture]) -> list[tuple[float, ...]]:
    return [(e.moment.frame, e.score, e.psnr, e.distance, e.regular) for e in found]


def close(one: Sequence[ScoredPicture], other: Sequence[ScoredPicture]) -> bool:
    pairs = zip(numbers(one), numbers(other), strict=True)
    return all(a == pytest.approx(b, rel=1e-4, abs=1e-5) for a, b in pairs)


def test_the_parts_that_pictures_come_in_make_no_difference() -> None:
    film = pictures(14)
    whole = scores(scorer(), Film(film, [14]))
    assert [each.moment for each in whole] == [Moment(n, 1 + 2 * n) for n in range(4, 14)]
    assert all(np.array_equal(each.rgb, film[each.moment.frame]) for each in whole)
    parts = scores(scorer(), Film(film, [2, 1, 3, 5, 3]))
    assert close(parts, whole)
    assert all(np.array_equal(each.rgb, film[each.moment.frame]) for each in parts)


def test_after_a_gap_nothing_of_the_past_counts() -> None:
    film = pictures(16)
    found = scores(scorer(), Film(film, [8, 3, 5], gaps=[1]))
    assert [each.moment.frame for each in found] == [4, 5, 6, 7, 12, 13, 14, 15]
    fresh = scores(scorer(), Film(film[8:], [8]))
    assert [row[1:] for row in numbers(found[4:])] == [
        pytest.approx(row[1:], rel=1e-4, abs=1e-5) for row in numbers(fresh)
    ]


def test_an_interruption_is_passed_on_and_nothing_of_the_past_counts_after_it() -> None:
    film, outage = list(Film(pictures(16), [8, 8])), Interruption(15.0, "the stream ended")

    class Interrupted(Film):
        def __iter__(self) -> Iterator[Pictures | Interruption]:  # type: ignore[override]
            yield from (film[0], outage, film[1])

    found = list(scorer().watch(Interrupted(pictures(1), [1])))
    assert found.pop(4) is outage
    frames = [each.moment.frame for each in found if isinstance(each, ScoredPicture)]
    assert frames == [4, 5, 6, 7, 12, 13, 14, 15]


@pytest.mark.parametrize(("parts", "warned"), [([3], 3), ([4, 4], 8), ([5], None), ([2, 6], None)])
def test_a_stream_without_a_score_is_warned_of(
    parts: list[int], warned: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    scored = scores(scorer(), Film(pictures(sum(parts)), parts, gaps=[1]))
    assert (scored == []) == (warned is not None)
    sentence = "film: no frame is scored, as each score needs 5 frames in a row, and there are"
    assert caplog.messages == ([f"{sentence} {warned}."] if warned else [])


@pytest.mark.parametrize(("fps", "warned"), [(None, False), (24.0, False), (5.0, True)])
def test_a_stream_of_another_rate_than_the_training_is_warned_of(
    fps: float | None, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    watched = scorer()
    watched.fps = fps
    scores(watched, Film(pictures(5), [5]))
    sentence = "film has 25 frames a second, and the model was trained at 5: "
    assert [message.startswith(sentence) for message in caplog.messages] == [True] * warned


def test_with_scope_video_each_video_begins_with_the_trained_items() -> None:
    film, watched = pictures(10), scorer("video", threshold=9.0)
    first, again = (scores(watched, Film(film, [10])) for _ in range(2))
    assert all(each.written for each in first)
    assert close(again, first)
    carried = scorer("dataset", threshold=9.0)
    first, again = (scores(carried, Film(film, [10])) for _ in range(2))
    assert not close(again, first)


def test_the_score_is_the_alarms_of_the_patches_smoothed_over_the_past() -> None:
    film, watched = pictures(9), scorer()
    found = scores(watched, Film(film, [9]))
    clips = torch.from_numpy(film[:, :1]).unfold(0, 5, 1).movedim(-1, 1)
    with torch.no_grad():
        patch = small_detector(scoring=HOW)
        patch.begin_test()
        errors = patch.score_frames(clips, torch.zeros(5, dtype=torch.long))["patch"]
    smoothed = smooth_over_time(errors, HOW.smoothing, causal=True)
    expected = watched.alarm.score(worst_patch(smoothed))
    assert [each.score for each in found] == pytest.approx(expected.tolist(), rel=1e-4)


def test_the_box_is_where_the_picture_errs_most() -> None:
    film = np.full((9, 3, 16, 32), 128, np.uint8)
    film[8, :, 2:6, 24:32] = 255  # unlike any picture before
    watched = scorer()
    watched.alarm.calibrate([torch.linspace(0, 0.01, 101)])
    found = scores(watched, Film(film, [9]))
    left, top, right, bottom = found[-1].box
    assert (left < 32, right > 24, top < 6, bottom > 2) == (True,) * 4
    assert (right - left, bottom - top) == (16, 4)  # a half of the width, a quarter of the height
    first = found[-1].regions()[0]
    assert (first.left < 32, first.right > 24, first.top < 6, first.bottom > 2) == (True,) * 4
    assert first.score == pytest.approx(found[-1].score, rel=1e-4)
    assert all(region.score > 0 for each in found for region in each.regions())


def arrivals(film: np.ndarray, counts: Sequence[int]) -> Iterator[Pictures]:
    yield from (each for each in Film(film, counts) if isinstance(each, Pictures))


def test_streams_that_are_scored_together_have_the_scores_that_they_have_alone() -> None:
    films = pictures(9, seed=1), pictures(9, seed=2)
    alone = [scores(scorer("video", threshold=9.0), Film(film, [9])) for film in films]
    assert not close(*alone)
    both = scorer("video", threshold=9.0)
    pasts = [both.begin() for _ in films]
    found: list[list[ScoredPicture]] = [[], []]
    for left, right in zip(
        arrivals(films[0], [2, 4, 3]), arrivals(films[1], [5, 1, 3]), strict=True
    ):
        scored = both.score_together([(pasts[0], left), (pasts[1], right)])
        for each, more in zip(found, scored, strict=True):
            each += more
    assert close(found[0], alone[0])
    assert close(found[1], alone[1])


def test_the_next_frames_of_several_streams_are_decoded_as_one_batch() -> None:
    several, batches = scorer("video", threshold=9.0), []
    several.detector.autoencoder.decoder.register_forward_pre_hook(
        lambda _, inputs: batches.append(len(inputs[0]))
    )
    pasts = [several.begin() for _ in range(3)]
    for arrived in zip(*(arrivals(pictures(6), [5, 1]) for _ in pasts), strict=True):
        several.score_together(list(zip(pasts, arrived, strict=True)))
    assert batches == [3, 3]


def test_a_stream_may_come_several_times_in_one_batch() -> None:
    film = pictures(9)
    alone = scores(scorer("video", threshold=9.0), Film(film, [9]))
    at_once = scorer("video", threshold=9.0)
    past = at_once.begin()
    parts = at_once.score_together([(past, part) for part in arrivals(film, [4, 2, 3])])
    assert [len(part) for part in parts] == [0, 2, 3]
    assert close([each for part in parts for each in part], alone)


def test_errors_in_ignored_places_do_not_count_in_the_score() -> None:
    film = pictures(6)
    film[5, :, 8:, :4] = 255 - film[4, :, 8:, :4]  # the network's frame has the size of the picture
    everywhere, elsewhere = scorer(), scorer()
    ignored = np.zeros((16, 16), bool)
    ignored[:, 4:] = True  # the left is watched
    (whole,) = everywhere.score_together([(everywhere.begin(), next(arrivals(film, [6])))])
    (left,) = elsewhere.score_together([(elsewhere.begin(ignored), next(arrivals(film, [6])))])
    assert left[1].score < whole[1].score
    assert left[1].box[0] < 4
    assert left[1].psnr == whole[1].psnr
    assert not left[1].error[:, 4:].any()  # of the annotated picture
    assert np.array_equal(left[1].error[:, :4], whole[1].error[:, :4])
    nothing = scorer()
    all_ignored = np.ones((16, 16), bool)
    (none,) = nothing.score_together([(nothing.begin(all_ignored), next(arrivals(film, [6])))])
    assert none[1].score == pytest.approx(float(nothing.alarm.score(torch.tensor(0.0))))
