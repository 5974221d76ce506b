"""Metrics of a test's places, against the pure functions."""

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.windows import ClipBatch
from memguard.data.datasets.benchmark import VideoRecord
from memguard.data.datasets.labels import read_masks
from memguard.data.datasets.preparation import Footage
from memguard.detection.places import PlaceMetrics
from memguard.scoring.pixels import pixel_auroc

HEIGHT, WIDTH, FRAMES = 12, 20, 6


def masks_of(video: int) -> np.ndarray:
    """A region that moves to the right; in video 3 nothing."""
    masks = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    for frame in range(FRAMES if video != 3 else 0):
        masks[frame, 2:6, frame : frame + 5 + video] = True
    return masks


def module(folder: Path, with_masks: tuple[int, ...], own: tuple[int, ...] = (1, 3)) -> Any:
    """The parts of a datamodule with videos 1 and 3; video 0 and 2 cannot be used."""
    for video in with_masks:
        np.save(folder / f"{video}.npy", masks_of(video))
    paths = {video: folder / f"{video}.npy" for video in with_masks}
    labels = {video: masks_of(video).any(axis=(1, 2)) for video in (1, 3)}
    segments = {
        video: SimpleNamespace(number=video, labels=labels[video].astype(np.uint8))
        for video in (1, 3)
    }
    footage = Footage(Path("x.mp4"), FRAMES, HEIGHT, WIDTH, 25)
    return SimpleNamespace(
        benchmark=SimpleNamespace(
            test=[VideoRecord(f"{v:02d}", Path(f"{v}.mp4"), None, paths.get(v)) for v in range(4)]
        ),
        tested={1: footage, 3: footage},
        test_segments=list(segments.values()),
        own_tests=[segments[video] for video in own],
    )


def scored(metrics: PlaceMetrics) -> tuple[torch.Tensor, torch.Tensor]:
    """Score all but the first frame of both videos in batches, and return errors and masks."""
    random = torch.Generator().manual_seed(0)
    output = torch.rand(10, 1, 8, 8, generator=random)
    target = torch.zeros_like(output)
    video = torch.tensor([1] * 5 + [3] * 5)
    frame = torch.tensor([1, 2, 3, 4, 5] * 2)
    for rows in (slice(0, 3), slice(3, 7), slice(7, 10)):
        clips = torch.zeros(len(video[rows]), 2, 1, 8, 8, dtype=torch.uint8)
        batch = ClipBatch(clips, video[rows], frame[rows], torch.zeros(len(clips)))
        metrics.add(batch, output[rows], target[rows])
    errors = F.interpolate((output / 2).square(), (HEIGHT, WIDTH), mode="bilinear")[:, 0]
    return errors, torch.tensor(np.concatenate([masks_of(1)[1:], masks_of(3)[1:]]))


SCORED = {
    "video": torch.tensor([1.0] * 5 + [3.0] * 5),
    "frame": torch.tensor([1.0, 2, 3, 4, 5] * 2),
}


def perfect_regions() -> torch.Tensor:
    """A box around the region of each scored frame but the last, its ends past the region."""
    return torch.tensor([[1.0, frame, frame, 2, frame + 6, 6, 0.5] for frame in range(1, 5)])


def test_pixels_of_scored_frames_are_pooled(tmp_path: Path) -> None:
    metrics = PlaceMetrics(cast(ClipDataModule, module(tmp_path, (1,))))
    expected = pixel_auroc(*scored(metrics))
    found = metrics.metrics(SCORED, perfect_regions())
    assert found["test/auroc_pixel"] == pytest.approx(expected, abs=1e-4)


def test_regions_are_compared_with_the_boxes_of_scored_frames(tmp_path: Path) -> None:
    metrics = PlaceMetrics(cast(ClipDataModule, module(tmp_path, (1, 3))))
    scored(metrics)
    found = metrics.metrics(SCORED, perfect_regions())
    assert (found["test/rbdc"], found["test/tbdc"]) == pytest.approx((4 / 5, 1))
    assert found["test/hit_rate"] == pytest.approx(4 / 5)


def test_masks_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []

    def reader(path: Path, *size: int) -> Any:
        read.append(path)
        return read_masks(path, *size)

    monkeypatch.setattr("memguard.data.datasets.truth.read_masks", reader)
    metrics = PlaceMetrics(cast(ClipDataModule, module(tmp_path, (1, 3))))
    scored(metrics)
    assert {"test/rbdc", "test/auroc_pixel"} < set(metrics.metrics(SCORED, perfect_regions()))
    assert sorted(read) == [tmp_path / "1.npy", tmp_path / "3.npy"]


def test_tracks_come_before_masks(tmp_path: Path) -> None:
    data = module(tmp_path, (1,))
    (tmp_path / "01.txt").write_text("0,5,0,0,1,1\n0,0,0,0,1,1\n")  # frame 0 is not scored
    data.benchmark.test[1] = VideoRecord("01", Path("1.mp4"), None, None, tmp_path / "01.txt")
    metrics = PlaceMetrics(cast(ClipDataModule, data))
    scored(metrics)
    hit = torch.tensor([[1.0, 5, 0, 0, 2, 2, 0.1]])
    of_regions = ("test/rbdc", "test/tbdc", "test/hit_rate")
    assert metrics.metrics(SCORED, hit) == dict.fromkeys(of_regions, 1)
    assert metrics.metrics(SCORED, perfect_regions()) == dict.fromkeys(of_regions, 0)


def test_a_video_without_truth_among_others_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = module(tmp_path, (3,))
    metrics = PlaceMetrics(cast(ClipDataModule, data))
    scored(metrics)
    with caplog.at_level(logging.WARNING):
        assert metrics.metrics(SCORED, perfect_regions()) == {}
    assert caplog.messages[0].startswith("1.mp4: this video has neither masks nor tracks, but")
    assert "tracks/01.txt" in caplog.messages[0]


def test_a_video_without_masks_among_others_leaves_out_their_metric_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = module(tmp_path, (3,))
    (tmp_path / "01.txt").write_text("0,5,0,0,1,1\n")
    data.benchmark.test[1] = VideoRecord("01", Path("1.mp4"), None, None, tmp_path / "01.txt")
    metrics = PlaceMetrics(cast(ClipDataModule, data))
    scored(metrics)
    with caplog.at_level(logging.WARNING):
        found = metrics.metrics(SCORED, perfect_regions())
    assert set(found) == {"test/rbdc", "test/tbdc", "test/hit_rate"}
    assert caplog.messages == [
        "1.mp4: this video has no masks, but others have; pixel AUROC is left out. Add its masks."
    ]


def test_a_set_with_labels_alone_lacks_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = PlaceMetrics(cast(ClipDataModule, module(tmp_path, ())))
    scored(metrics)
    assert metrics.metrics(SCORED, perfect_regions()) == {}
    assert not caplog.messages  # though video 3, all normal, needs no masks


def test_a_test_discards_the_last_one_which_broke_off(tmp_path: Path) -> None:
    metrics = PlaceMetrics(cast(ClipDataModule, module(tmp_path, (1,))))
    clips = torch.zeros(1, 2, 1, 8, 8, dtype=torch.uint8)
    batch = ClipBatch(clips, torch.tensor([1]), torch.tensor([3]), torch.zeros(1))
    metrics.add(batch, torch.ones(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    metrics.begin()
    expected = pixel_auroc(*scored(metrics))
    found = metrics.metrics(SCORED, perfect_regions())
    assert found["test/auroc_pixel"] == pytest.approx(expected, abs=1e-4)


def test_videos_of_other_processes_do_not_count(tmp_path: Path) -> None:
    metrics = PlaceMetrics(cast(ClipDataModule, module(tmp_path, (1, 3), own=(1,))))
    errors, masks = scored(metrics)
    found = metrics.metrics(SCORED, perfect_regions())
    assert found["test/auroc_pixel"] == pytest.approx(pixel_auroc(errors[:5], masks[:5]), abs=1e-4)
