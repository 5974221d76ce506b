"""Scoring without an end: the box and the score are of the same place."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf

from memguard.data.stream import Pictures
from memguard.live import LiveScorer
from tests.conftest import small_detector


class Twelve:
    """A stream of twelve pictures, 24 by 32 pixels."""

    name, fps, length = "twelve", 10.0, 12

    def __iter__(self) -> Iterator[Pictures]:
        rgb = torch.zeros(12, 3, 24, 32, dtype=torch.uint8)
        yield Pictures(rgb, 0, [number / 10 for number in range(12)], follows=False)


def test_a_flash_elsewhere_does_not_draw_the_box_away_from_what_the_score_is_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = small_detector()  # patches of a quarter of the picture each way, smoothed by σ = 1
    detector.alarm.calibrate([torch.linspace(0, 0.1, 50)])
    errors = torch.zeros(8, 13, 13)  # the next patch begins 2 of the network's 32 pixels further
    errors[:, 1, 9] = 0.5
    errors[7, 1, 9], errors[7, 2, 10] = 0.1, 0.4  # it has moved on
    errors[7, 11, 2] = 0.45  # more than anything else in this picture, but for one picture alone
    numbers = torch.zeros(8)
    found: dict[str, Any] = dict.fromkeys(("psnr", "distance", "regular", "written"), numbers)
    frames = torch.zeros(8, 1, 32, 32)
    found |= {"patch": errors, "output": frames, "target": frames}
    monkeypatch.setattr(detector, "score_frames", lambda clips, videos: found)
    config = OmegaConf.create(
        {
            "trainer": {"accelerator": "cpu", "precision": "32-true"},
            "data": {"frame_size": 32, "channels": 1},
            "task": {"past": 4},
        }
    )
    scored = list(LiveScorer(detector, config).watch(Twelve()))
    # Left, top, right, bottom: a patch is 8 by 8 of 32 by 32, which the picture has as 6 by 8.
    assert [picture.box for picture in scored[:7]] == [(18, 2, 26, 8)] * 7
    assert scored[7].box == (20, 3, 28, 9)
    assert [picture.moment.frame for picture in scored] == list(range(4, 12))
