"""Metrics are counted on the CPU: nothing fails on a device without double precision, as MPS is."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from memguard.data.clips.windows import ClipBatch
from memguard.detection.detector import Detector
from memguard.report.recorder import TestRecorder
from memguard.scoring.metrics import FrameAP, FrameAUROC, FrameEER, FrameMetric, FrameTable
from memguard.scoring.pixels import PixelAUROC
from memguard.training.callbacks.batch_norm import gathering
from tests.conftest import small_detector
from tests.device import device_without_doubles
from tests.model.memory.test_contract import MEMORIES, features, made, skips

SCORE, LABEL, VIDEO = (
    torch.tensor([0.3, 0.1, 0.7, 0.4, 0.9, 0.2]),
    torch.tensor([1, 0, 1, 0, 0, 1]),
    torch.tensor([0, 0, 0, 1, 1, 1]),
)


def test_the_device_is_as_it_should_be() -> None:
    with device_without_doubles() as device:
        values = SCORE.to(device)
        assert (values + 1).device == device
        assert torch.equal((values + 1).cpu(), SCORE + 1)
        with pytest.raises(TypeError, match="no float64"):
            values.double()


@pytest.mark.parametrize("metric", [FrameAUROC(), FrameAUROC("macro"), FrameAP(), FrameEER()])
def test_metrics_count_on_the_cpu_what_comes_from_a_device(metric: FrameMetric) -> None:
    metric.update(SCORE, LABEL, VIDEO)
    expected = metric.compute()
    metric.reset()
    with device_without_doubles() as device:
        metric.to(device)
        metric.update(*(column[:4].to(device) for column in (SCORE, LABEL, VIDEO)))
        metric.to(device)  # as a model does when a test begins
        metric.update(*(column[4:].to(device) for column in (SCORE, LABEL, VIDEO)))
        found = metric.compute()
    assert found.device.type == "cpu"
    assert torch.equal(found, expected)
    assert metric.score[0].dtype == torch.float64


def test_a_table_is_on_the_cpu() -> None:
    table = FrameTable(["psnr"])
    with device_without_doubles() as device:
        columns = {"video": VIDEO, "frame": torch.arange(6).flip(0), "psnr": SCORE}
        table.update(**{name: column.to(device) for name, column in columns.items()})
        table.to(device)
        found = table.compute()
    assert {column.device.type for column in found.values()} == {"cpu"}
    assert torch.equal(found["psnr"], SCORE[[2, 1, 0, 5, 4, 3]].double())


def batches() -> list[ClipBatch]:
    """Windows of two videos."""
    torch.manual_seed(1)
    clips = torch.randint(0, 256, (2, 3, 5, 1, 16, 16), dtype=torch.uint8)
    return [
        ClipBatch(
            frames=frames,
            video=torch.full((3,), number),
            frame=torch.arange(4, 7),
            label=torch.tensor([0, 1, number]),
        )
        for number, frames in enumerate(clips)
    ]


@torch.no_grad()
def validated_and_tested(device: torch.device) -> tuple[dict[str, Any], Detector]:
    """Log a validation and a test without a trainer."""
    detector = small_detector(threshold="auto").to(device)
    logged: dict[str, Any] = {}

    def log(name: str, value: Tensor | float, **_: object) -> None:
        logged[name] = value

    tested = dict.fromkeys(range(2), SimpleNamespace(height=32, width=48))
    trainer = SimpleNamespace(datamodule=SimpleNamespace(tested=tested))
    detector.trainer = trainer  # type: ignore[assignment]
    detector.log = log  # type: ignore[assignment, method-assign]
    detector.log_dict = lambda found, **_: logged.update(found)  # type: ignore[assignment, misc]
    on_device = [ClipBatch(*(value.to(device) for value in batch)) for batch in batches()]
    with gathering(detector.autoencoder):
        for batch in on_device:
            detector.predict(batch.frames)
    for number, batch in enumerate(on_device):
        detector.validation_step(batch, number)
    detector.on_validation_epoch_end()
    detector.on_test_epoch_start()
    for number, batch in enumerate(on_device):
        detector.test_step(batch, number)
    detector.to(device)
    detector.on_test_epoch_end()
    return logged, detector


def test_a_validation_and_a_test_are_the_same_on_it() -> None:
    expected, on_cpu = validated_and_tested(torch.device("cpu"))
    with device_without_doubles() as device:
        found, detector = validated_and_tested(device)
    assert found == pytest.approx(expected)
    assert {"val/psnr", "test/auroc", "guard/threshold"} <= found.keys()
    for name, column in on_cpu.frames.items():
        assert detector.frames[name].device.type == "cpu"
        torch.testing.assert_close(detector.frames[name], column)


@torch.no_grad()
def remembered(name: str, device: torch.device) -> dict[str, Tensor]:
    """Train a memory for two steps, end an epoch, and read."""
    memory = made(name).to(device)
    for step in range(2):
        read = memory(features(step).to(device))
        memory.update(read.query, read.similarity)
    memory.end_epoch()
    read = memory(features(2).to(device))
    written = memory.write(read.query, memory.items, read.similarity)
    maps = dict(enumerate(memory.read_skips([skip.to(device) for skip in skips(2)])))
    return {"fused": read.fused, "written": written, **{f"skip {n}": m for n, m in maps.items()}}


@pytest.mark.parametrize("name", MEMORIES)
def test_each_memory_is_the_same_on_it(name: str) -> None:
    expected = remembered(name, torch.device("cpu"))
    with device_without_doubles() as device:
        found = remembered(name, device)
        assert {value.device for value in found.values()} == {device}
        for key, value in found.items():
            torch.testing.assert_close(value.cpu(), expected[key])


def test_the_recorder_of_a_test_keeps_what_is_on_a_device() -> None:
    batch, detector = batches()[0], small_detector()
    detector.begin_test()
    with torch.no_grad():
        scored = detector.score_frames(batch.frames, batch.video)
    recorder = TestRecorder()
    recorder._keep_candidates(scored, batch)
    expected = recorder.candidates(0)
    recorder = TestRecorder()
    with device_without_doubles() as device:
        there = {name: value.to(device) for name, value in scored.items()}
        recorder._keep_candidates(there, ClipBatch(*(value.to(device) for value in batch)))
    assert [each.frame for each in recorder.candidates(0)] == [each.frame for each in expected]
    assert [each.psnr for each in recorder.candidates(0)] == [each.psnr for each in expected]


def test_pixels_are_counted_on_a_device() -> None:
    error = torch.rand(2, 4, 6, generator=torch.Generator().manual_seed(0))
    mask = error > 0.7
    mask[0, :2] = True
    metric = PixelAUROC()
    metric.update(error, mask)
    expected = metric.compute()
    metric.reset()
    with device_without_doubles() as device:
        metric.to(device)
        metric.update(error.to(device), mask.to(device))
        assert metric.compute() == expected
