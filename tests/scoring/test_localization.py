"""Metrics of boxes against the reference's values, values by hand, and a plain loop."""

import json
from collections.abc import Mapping
from math import isnan
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memguard.scoring.localization import RBDC, TBDC, hit_rate, rbdc_tbdc

Rows = dict[str, np.ndarray]

# Frame 2 has two boxes side by side, track 1 another at frames 0 and 1, and video b has none.
TRACKS: Rows = {
    "a": np.array(
        [
            *([1, frame, 10, 10, 19, 19] for frame in range(3)),
            [2, 2, 30, 10, 39, 19],
        ]
    )
}
DETECTIONS: Rows = {
    "a": np.array(
        [
            [0, 10, 10, 19, 19, 9.0],  # 1 of 4 boxes, 1 of 2 tracks
            [3, 10, 10, 19, 19, 8.0],  # false: this frame has no box
            [2, 12, 10, 37, 19, 7.0],  # two boxes at once, 80 of 280 pixels each
            [0, 10, 10, 19, 19, 6.0],  # that box is hit already
            [1, 10, 10, 19, 19, 4.0],  # the last box
        ]
    ),
    "b": np.array([[0, 10, 10, 19, 19, 5.0]]),  # false: this video has no box
}


@pytest.mark.parametrize("case", ["case1", "case2", "case3"])
def test_values_are_those_of_the_reference(real_data: Path, case: str) -> None:
    folder = real_data / "localization" / case
    expected = json.loads((folder / "expected.json").read_text())
    detections, tracks = (
        {path.stem: np.loadtxt(path, delimiter=",", ndmin=2) for path in (folder / kind).iterdir()}
        for kind in ("detections", "tracks")
    )
    rbdc, tbdc = rbdc_tbdc(detections, tracks, expected["frames"])
    assert rbdc == pytest.approx(expected["rbdc"], abs=1e-9)
    assert tbdc == pytest.approx(expected["tbdc"], abs=1e-9)


def test_areas_by_hand() -> None:
    # Boxes: 1/4 up to a quarter of a false positive a frame, 3/4 up to half of one, then 4/4.
    expected = 1 / 4 * 1 / 4 + 1 / 4 * 3 / 4 + 1 / 2, 1 / 4 * 1 / 2 + 1 / 4 + 1 / 2
    assert rbdc_tbdc(DETECTIONS, TRACKS, frames=4) == pytest.approx(expected)


def test_the_highest_box_of_a_frame_decides_whether_it_hits() -> None:
    tracks = {"a": TRACKS["a"], "b": [[1, 0, 50, 50, 59, 59]]}
    boxes = {"a": DETECTIONS["a"], "b": [[0, 50, 50, 59, 59, 1.0], [0, 10, 10, 19, 19, 2.0]]}
    assert hit_rate(boxes, tracks) == 3 / 4  # in b the lower one hits
    assert hit_rate({"a": DETECTIONS["a"][1:]}, tracks) == 3 / 4  # the same place, at 6
    assert hit_rate({"a": DETECTIONS["a"][2:3]}, TRACKS) == 1 / 3
    equal = {"b": [[0, 10, 10, 19, 19, 1.0], [0, 50, 50, 59, 59, 1.0]]}
    assert hit_rate(equal, {"b": tracks["b"]}) == 1
    assert hit_rate({}, TRACKS) == 0
    assert isnan(hit_rate(DETECTIONS, {}))


def test_equal_scores_come_in_together() -> None:
    tied = DETECTIONS | {"a": DETECTIONS["a"].copy()}
    tied["a"][1, 5] = 7.0  # the first false positive with the hit of two boxes: one slope
    expected = 1 / 4 * 2 / 4 + 1 / 4 * 3 / 4 + 1 / 2, 1 / 4 * 3 / 4 + 1 / 4 + 1 / 2
    assert rbdc_tbdc(tied, TRACKS, frames=4) == pytest.approx(expected)


def test_nothing_counts_beyond_one_false_positive_per_frame() -> None:
    assert rbdc_tbdc(DETECTIONS, TRACKS, frames=1) == pytest.approx((1 / 4, 1 / 2))


def test_a_slope_is_cut_at_one_false_positive_per_frame() -> None:
    tracks = {"a": [[0, 0, 10, 10, 19, 19]]}
    detections = {"a": [[frame, 10, 10, 19, 19, 1] for frame in (0, 1, 2)]}
    assert rbdc_tbdc(detections, tracks, frames=1) == pytest.approx((1 / 4, 1 / 4))


@pytest.mark.parametrize(("pixels", "hit"), [(10, 1), (9, 0)])
def test_an_overlap_of_a_tenth_hits_with_ends_counted(pixels: int, hit: int) -> None:
    tracks = {"a": [[0, 0, 10, 10, 19, 19]]}
    assert rbdc_tbdc({"a": [[0, 10, 10, 9 + pixels, 10, 1]]}, tracks, 1) == (hit, hit)


@pytest.mark.parametrize(("boxes", "found"), [(10, 1), (11, 0), (30, 0)])
def test_a_track_is_found_by_a_tenth_of_its_boxes(boxes: int, found: int) -> None:
    tracks = {"a": [[0, frame, 10, 10, 19, 19] for frame in range(boxes)]}
    assert rbdc_tbdc({"a": [[3, 10, 10, 19, 19, 1]]}, tracks, 99)[1] == found


def test_tracks_of_one_number_in_two_videos_are_two() -> None:
    tracks = {"a": [[0, 0, 10, 10, 19, 19]], "b": [[0, 0, 10, 10, 19, 19]]}
    assert rbdc_tbdc({"a": [[0, 10, 10, 19, 19, 1]]}, tracks, 2) == (0.5, 0.5)


def test_an_empty_box_is_a_false_positive() -> None:
    tracks = {"a": [[0, 0, 10, 10, 19, 19]]}
    detections = {"a": [[0, 10, 19, 19, 10, 2], [0, 10, 10, 19, 19, 1]]}
    assert rbdc_tbdc(detections, tracks, 4) == (0.75, 0.75)


def test_without_tracks_there_is_no_area() -> None:
    assert all(isnan(area) for area in rbdc_tbdc(DETECTIONS, {"a": []}, 4))


@pytest.mark.parametrize(
    ("detections", "frames", "sentence"),
    [
        ({"a": [[0, 1, 2, 3, 4]]}, 4, r"detections\['a'\] must have the shape \(N, 6\)"),
        ({"a": [[0, 1, 2, 3, 4, np.nan]]}, 4, "detections must be finite numbers"),
        ({}, 0, "frames=0 must be the number of frames of the set"),
    ],
)
def test_arguments_that_do_not_fit_are_rejected(
    detections: Mapping[str, list[list[float]]], frames: int, sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        rbdc_tbdc(detections, TRACKS, frames)


# Few different places and scores, so that boxes overlap and scores are equal.
box = st.builds(
    lambda x, y, width, height: (x, y, x + width, y + height),
    *[st.integers(0, 12), st.integers(0, 12), st.integers(-1, 9), st.integers(0, 9)],
)
detected = st.builds(
    lambda frame, box, score: (frame, *box, score),
    st.integers(0, 3), box, st.sampled_from([-1.5, 0.0, 0.25, 2.0]),
)  # fmt: skip
tracked = st.builds(
    lambda track, frame, box: (track, frame, *box), st.integers(0, 2), st.integers(0, 3), box
)
videos = st.sampled_from(["a", "b"])
some_detections = st.dictionaries(videos, st.lists(detected, max_size=8))
some_tracks = st.dictionaries(videos, st.lists(tracked, min_size=1, max_size=12), min_size=1)


def plain_loop(detections: dict, tracks: dict, frames: int) -> tuple[float, float]:
    """Count for each threshold all boxes and tracks that are hit."""
    truth = [(video, *row) for video, rows in tracks.items() for row in rows]
    scores = sorted({row[5] for rows in detections.values() for row in rows}, reverse=True)
    points = [(0.0, 0.0, 0.0)]
    for threshold in scores:
        hit, false = set(), 0
        for video, rows in detections.items():
            for frame, *place, score in rows:
                own = {
                    number
                    for number, (of, _, at, *other) in enumerate(truth)
                    if (of, at) == (video, frame) and overlap(place, other) >= 0.1
                }
                if score >= threshold:
                    hit |= own
                    false += not own
        ids = [(video, track) for video, track, *_ in truth]
        found = [i for i in set(ids) if share_hit(ids, hit, i) >= 0.1]
        points.append((false / frames, len(hit) / len(truth), len(found) / len(set(ids))))
    return tuple(area([(p[0], p[column]) for p in points]) for column in (1, 2))


def share_hit(ids: list, hit: set, track: tuple) -> float:
    boxes = [number for number, own in enumerate(ids) if own == track]
    return len(hit & set(boxes)) / len(boxes)


def overlap(one: list, other: list) -> float:
    def pixels(box: list) -> set:
        return {(x, y) for x in range(box[0], box[2] + 1) for y in range(box[1], box[3] + 1)}

    both = pixels(one) | pixels(other)
    return len(pixels(one) & pixels(other)) / len(both) if both else 0


def area(points: list[tuple[float, float]]) -> float:
    total = 0.0
    for (x, y), (to_x, to_y) in zip(points, [*points[1:], (np.inf, points[-1][1])], strict=True):
        end = min(to_x, 1)
        if x < end:
            at_end = y + (to_y - y) * (end - x) / (to_x - x)
            total += (end - x) * (y + at_end) / 2
    return total


@given(some_detections, some_tracks, st.integers(1, 5))
def test_areas_are_those_of_a_plain_loop(detections: dict, tracks: dict, frames: int) -> None:
    expected = plain_loop(detections, tracks, frames)
    assert rbdc_tbdc(detections, tracks, frames) == pytest.approx(expected, abs=1e-12)


@given(some_detections, some_tracks, st.data())
def test_the_order_of_rows_and_videos_does_not_matter(
    detections: dict, tracks: dict, data: st.DataObject
) -> None:
    def shuffled(rows: dict) -> dict:
        names = data.draw(st.permutations(list(rows)))
        return {name: data.draw(st.permutations(rows[name])) for name in names}

    assert rbdc_tbdc(shuffled(detections), shuffled(tracks), 3) == rbdc_tbdc(detections, tracks, 3)


@given(some_tracks)
def test_perfect_detections_have_1_and_none_0(tracks: dict) -> None:
    solid = {
        video: [row for row in rows if row[2] <= row[4]] or [(0, 0, 1, 1, 5, 5)]
        for video, rows in tracks.items()
    }
    perfect = {video: [(*row[1:], 0.3) for row in rows] for video, rows in solid.items()}
    assert rbdc_tbdc(perfect, solid, 4) == (1, 1)
    assert rbdc_tbdc({}, solid, 4) == (0, 0)


def measured(metric: RBDC | TBDC, videos: tuple[str, ...]) -> RBDC | TBDC:
    for video in videos:
        rows = [torch.tensor(of.get(video, np.empty((0, 6)))) for of in (DETECTIONS, TRACKS)]
        metric.update("ab".index(video), *rows, frames=2)
    return metric


def _measure_in_group(rank: int, store: str, results: str) -> None:
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{store}", rank=rank, world_size=3
    )
    own = [("a",), (), ("b",)][rank]  # the second process has no video
    areas = [measured(metric, own).compute() for metric in (RBDC(), TBDC())]
    torch.save(torch.stack(areas), f"{results}/{rank}.pt")
    torch.distributed.destroy_process_group()


def test_several_processes_measure_what_one_would(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(_measure_in_group, (str(tmp_path / "store"), str(tmp_path)), 3)
    expected = rbdc_tbdc(DETECTIONS, TRACKS, frames=4)
    for rank in range(3):
        assert torch.load(tmp_path / f"{rank}.pt").tolist() == list(expected)


def test_parts_of_a_video_add_up() -> None:
    metric = RBDC()
    for frame in range(4):
        detections, tracks = DETECTIONS["a"], TRACKS["a"]
        metric.update(
            0,
            torch.tensor(detections[detections[:, 0] == frame]),
            torch.tensor(tracks[tracks[:, 1] == frame]),
            frames=1,
        )
    expected = rbdc_tbdc({"a": DETECTIONS["a"]}, TRACKS, frames=4)[0]
    assert float(metric.compute()) == expected


def test_a_value_is_plotted_between_0_and_1() -> None:
    _, axes = measured(TBDC(), ("a", "b")).plot()
    low, high = axes.get_ylim()
    assert low <= 0 < 1 <= high
