"""The rows of a test's tables, by hand."""

import numpy as np
import torch

from memguard.report.table import Cell
from memguard.report.tested import VIDEO_COLUMNS, ScoredTest, VideoScores
from memguard.scoring.protocols import ScoreConfig


def video(label: list[int]) -> VideoScores:
    return VideoScores(
        "v", np.array([4, 5, 6, 7]), np.array([0.1, 0.4, 0.35, 0.8]), np.array(label),
        np.array([1, 1, 1, 0]),
    )  # fmt: skip


def row(video: VideoScores) -> dict[str, Cell]:
    return dict(zip(VIDEO_COLUMNS, video.row(), strict=True))


def test_a_videos_row_by_hand() -> None:
    found = row(video([0, 0, 1, 1]))
    assert found == {
        "video": "v", "frames": 4, "anomalous": 2, "auroc": 0.75, "peak_score": 0.8,
        "peak_frame": 7, "written": 3, "written_anomalous": 1,
    }  # fmt: skip


def test_memory_updates_of_anomalous_frames_are_counted_apart() -> None:
    scores = VideoScores(
        "v", np.arange(4, 9), np.array([0.3, 0.9, 0.1, 0.2, 0.4]), np.array([0, 1, 1, 1, 0]),
        np.array([1, 1, 0, 1, 0]),
    )  # fmt: skip
    found = row(scores)
    assert (found["anomalous"], found["written"], found["written_anomalous"]) == (3, 3, 2)
    assert (found["peak_frame"], found["peak_score"]) == (5, 0.9)


def test_a_video_without_both_classes_has_no_area() -> None:
    normal = row(video([0, 0, 0, 0]))
    assert normal["auroc"] is None
    assert normal["anomalous"] == 0
    unknown = row(video([-1, -1, -1, -1]))
    assert unknown["auroc"] is unknown["anomalous"] is unknown["written_anomalous"] is None


def test_metrics_of_places_have_a_row_of_their_own() -> None:
    scoring = ScoreConfig("patch", 0.6, (0.5, 0.25), smoothing=0, causal=False)
    values = torch.tensor([0.1, 0.4, 0.3, 0.8])
    frames = dict.fromkeys(["psnr", "distance", "patch", "score"], values)
    frames |= {"video": torch.zeros(4), "label": torch.tensor([0, 0, 1, 1])}
    places = {"test/rbdc": 0.25, "test/auroc_pixel": 0.75}
    with_places, without = (
        ScoredTest(frames, ["v"], scoring, (8, 8), places=each).protocol_table()
        for each in (places, {})
    )
    assert with_places is not None
    assert without is not None
    assert with_places.columns == (*without.columns, "rbdc", "auroc_pixel")
    *scores, last = with_places
    assert [row["score"] for row in scores] == without["score"]
    assert {row["rbdc"] for row in scores} == {None}
    assert (last["score"], last["auroc"], last["rbdc"]) == ("places", None, 0.25)
    assert last["auroc_pixel"] == 0.75
