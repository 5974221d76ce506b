"""Scoring by an exported graph: the scores and updates of PyTorch, around another network."""

from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from memguard.convert.exporting import describe, example, traced, write_onnx
from memguard.convert.window_graph import WindowGraph
from memguard.data.video.stream import VideoStream
from memguard.detection.events import ScoredPicture
from memguard.live.graph.description import Description
from memguard.live.graph.runtime import Graph, open_graph
from memguard.live.graph.scorer import GraphScorer
from memguard.live.scorer import LiveScorer
from memguard.live.stream_scorer import StreamScorer
from memguard.scoring.protocols import ScoreConfig
from tests.conftest import moving_square, small_detector, write_video

HOW = ScoreConfig("patch", 0.6, [(0.25, 0.25), (0.5, 0.5)], smoothing=1.0, causal=False)
SETTINGS = OmegaConf.create(
    {
        "trainer": {"accelerator": "cpu", "precision": "32-true"},
        "data": {"frame_size": [16, 24], "channels": 1},
        "task": {"past": 4},
    }
)


def live_scorer(threshold: float = 0.0) -> LiveScorer:
    detector = small_detector("video", threshold, scoring=HOW)
    detector.alarm.calibrate([torch.linspace(0, 0.2, 101)])
    return LiveScorer(detector, SETTINGS)


@pytest.fixture(scope="module")
def limit(video: Path) -> float:
    """A γ between the regular scores of the film."""
    return float(np.median(scored(live_scorer(), video)[:, 5]))


@pytest.fixture(scope="module")
def exported(limit: float, tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, Description]:
    path, detector = tmp_path_factory.mktemp("graph") / "door.onnx", live_scorer(limit).detector
    described = describe(detector, SETTINGS, "onnx")
    write_onnx(traced(WindowGraph(detector), example(described), path), path, path)
    described.write(path)
    return open_graph(path, "onnx"), Description.of_graph(path)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    slow, fast = moving_square(12, seed=1), moving_square(8, speed=5, seed=2)
    path = tmp_path_factory.mktemp("film") / "door.mp4"
    return write_video(path, np.concatenate([slow, fast]))


def scored(scorer: StreamScorer, video: Path) -> np.ndarray:
    table = scorer.score(video)
    return np.array([[row[name] for name in table.columns] for row in table], float)


def test_scores_and_updates_are_those_of_pytorch(
    exported: tuple[Graph, Description], limit: float, video: Path
) -> None:
    found, expected = scored(GraphScorer(*exported), video), scored(live_scorer(limit), video)
    assert found.shape == (16, 11)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert 0 < expected[:, 6].sum() < 16  # some frames update the memory


def test_a_guard_that_is_off_leaves_the_items(
    exported: tuple[Graph, Description], video: Path
) -> None:
    graph, described = exported
    off = described.guard.model_copy(update={"enabled": False})
    found, expected = (
        scored(GraphScorer(graph, described, off), video),
        scored(live_scorer(), video),
    )
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert not np.allclose(found[-1], scored(GraphScorer(graph, described), video)[-1], atol=1e-4)


def test_each_stream_has_items_of_its_own_and_regions_are_the_same(
    exported: tuple[Graph, Description], limit: float, video: Path
) -> None:
    ignored = np.zeros((16, 24), bool)
    ignored[:, :8] = True
    graph, live = GraphScorer(*exported), live_scorer(limit)
    for places in (None, ignored):  # two streams
        pairs = zip(
            graph.watch(VideoStream(video), places), live.watch(VideoStream(video), places),
            strict=True,
        )  # fmt: skip
        for ours, theirs in pairs:
            assert isinstance(ours, ScoredPicture)
            assert isinstance(theirs, ScoredPicture)
            np.testing.assert_allclose(ours.row(), theirs.row(), atol=1e-4)
            np.testing.assert_allclose(ours.error, theirs.error, atol=1e-5)
            assert len(ours.regions()) == len(theirs.regions())
            for region, other in zip(ours.regions(), theirs.regions(), strict=True):
                np.testing.assert_allclose(region, other, atol=1e-4)
