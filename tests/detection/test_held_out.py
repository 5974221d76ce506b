"""The held-out frames of a validation."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from memguard.data.clips.windows import ClipBatch
from memguard.detection import held_out
from memguard.detection.alarm import Alarm
from memguard.detection.guard import MemoryGuard
from memguard.detection.held_out import HeldOut
from memguard.detection.reference import Reference
from memguard.scoring.protocols import ScoreConfig

SCORING = ScoreConfig("patch", 0.6, (0.25, 0.25), smoothing=0.0, causal=False)


def batch(levels: list[int], first: int, video: int = 0) -> ClipBatch:
    """Windows of a frame, a ramp below its level."""
    ramp = torch.arange(16).expand(16, 16)
    frames = torch.stack([level - ramp for level in levels]).to(torch.uint8)
    windows = frames[:, None, None]
    count = len(levels)
    places = torch.arange(first, first + count)
    return ClipBatch(windows, torch.full((count,), video), places, torch.zeros(count))


def calibrated(
    *batches: ClipBatch, scoring: ScoreConfig = SCORING
) -> tuple[float, Alarm, Reference]:
    frames, alarm, reference = HeldOut(scoring), Alarm(), Reference()
    for each in batches:
        target: Tensor = each.frames[:, -1].float() / 127.5 - 1
        frames.add(each, target * 0.9, target)
    guard = MemoryGuard(threshold="auto", quantile=0.5, scope="dataset", enabled=True)
    psnr = frames.calibrate(guard, alarm, reference)
    assert guard.threshold > 0
    return psnr, alarm, reference


def test_alarm_and_reference_learn_from_all_batches() -> None:
    psnr, alarm, reference = calibrated(batch([100] * 30, 4), batch([110] * 30, 34))
    assert psnr > 0
    assert alarm.sample_counts[0] == 60
    assert reference.frame_size.tolist() == [16, 16]
    assert reference.range("brightness") == (100 - 7.5, 110 - 7.5)


def test_a_still_run_continues_from_batch_to_batch_and_ends_with_the_video() -> None:
    _, _, reference = calibrated(batch([100, 120, 120], 4), batch([120, 120], 7))
    assert reference.still == 3
    _, _, reference = calibrated(batch([120, 120], 4), batch([120, 120, 120], 4, video=1))
    assert reference.still == 2
    _, _, reference = calibrated(batch([120, 120], 4), batch([120, 120, 120], 40))
    assert reference.still == 2


def test_a_window_of_several_frames_is_compared_with_its_own_past() -> None:
    still = batch([120] * 6, 4)
    moving = still._replace(frames=torch.cat([still.frames - 20, still.frames], dim=1))
    assert calibrated(moving)[2].still == 0
    assert calibrated(still._replace(frames=still.frames.expand(-1, 2, 1, 16, 16)))[2].still == 6


def test_pictures_of_several_processes_are_in_order_and_count_once() -> None:
    ours = {(0, 2): torch.tensor([2.0]), (1, 0): torch.tensor([3.0])}
    others = {(0, 1): torch.tensor([1.0]), (0, 2): torch.tensor([2.0])}
    assert held_out._joined([ours, others]).flatten().tolist() == [1, 2, 3]


def test_errors_in_ignored_places_do_not_count_for_the_alarm() -> None:
    whole, left, alarms = batch([100] * 30, 4), np.zeros((16, 16), bool), []
    left[:, :8] = True  # where a ramp's values, and a tenth of them, are farthest from zero
    for ignored in (None, left, ~left, np.ones((16, 16), bool)):
        frames, alarm = HeldOut(SCORING), Alarm()
        frames.ignored = ignored
        target: Tensor = whole.frames[:, -1].float() / 127.5 - 1
        frames.add(whole, target * 0.9, target)
        guard = MemoryGuard(threshold="auto", quantile=0.5, scope="dataset", enabled=True)
        frames.calibrate(guard, alarm, Reference())
        alarms.append(float(alarm.normal_scores.max()))
    everywhere, right_alone, left_alone, nowhere = alarms
    assert everywhere == right_alone > left_alone > nowhere == 0


def test_no_patch_error_is_smoothed_with_those_of_another_stretch() -> None:
    smoothed = replace(SCORING, smoothing=3.0)
    bright, dark = batch([200] * 20, 4), batch([100] * 20, 60)
    together = calibrated(bright, dark, scoring=smoothed)[1]
    apart = calibrated(bright, dark._replace(video=torch.ones(20)), scoring=smoothed)[1]
    joined = calibrated(bright, dark._replace(frame=torch.arange(24, 44)), scoring=smoothed)[1]
    assert torch.equal(together.normal_scores, apart.normal_scores)
    assert not torch.equal(together.normal_scores, joined.normal_scores)
