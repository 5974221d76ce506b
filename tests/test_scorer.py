"""Where in a frame its score comes from, as a test keeps it."""

from dataclasses import replace

import torch
from torch import Tensor

from memguard.baselines import PreviousFrame
from memguard.data.windows import ClipBatch
from memguard.protocols import Scoring
from memguard.scoring import patch_box

# Of 12 by 20 pixels a patch has 4 by 4, and the next one begins a pixel further.
HOW = Scoring("published", weight=0.6, patch=(1 / 3, 0.2), smoothing=1, causal=True)


def flicker(*bright: tuple[int, int, int]) -> Tensor:
    """Windows of two frames, black but for 4 by 4 pixels: (top, left, level) in each second one."""
    windows = torch.zeros(len(bright), 2, 1, 12, 20, dtype=torch.uint8)
    for window, (top, left, level) in zip(windows, bright, strict=True):
        window[1, :, top : top + 4, left : left + 4] = level
    return windows


def boxes(how: Scoring, *batches: Tensor) -> list[tuple[int, int, int, int]]:
    """Test one video, and give the box of each frame."""
    scorer = PreviousFrame(how)
    scorer.on_test_epoch_start()
    first = 1
    for clips in batches:
        count = len(clips)
        frame = torch.arange(first, first + count)
        batch = ClipBatch(clips, torch.zeros(count).long(), frame, torch.zeros(count).long())
        scorer.test_step(batch, 0)
        first += count
    frames = scorer.joined_frames()
    rows, columns = frames["patch_row"].int().tolist(), frames["patch_column"].int().tolist()
    shape = scorer.frame_shape
    assert shape == (12, 20)
    return [
        patch_box(row, column, how.patch, shape, shape)
        for row, column in zip(rows, columns, strict=True)
    ]


def test_psnr_is_of_the_frame_itself_and_so_is_its_box() -> None:
    found = boxes(HOW, flicker((1, 2, 100), (7, 15, 110)), flicker((3, 9, 40)))
    assert found == [(2, 1, 6, 5), (15, 7, 19, 11), (9, 3, 13, 7)]


def test_the_patch_score_is_of_errors_that_last_and_so_is_its_box() -> None:
    lasting = flicker((1, 2, 100), (1, 2, 100), (1, 3, 100))
    flash = lasting.clone()
    flash[2, 1, :, 7:11, 15:19] = 120
    how = replace(HOW, name="patch")
    assert boxes(how, flash[:2], flash[2:]) == [(2, 1, 6, 5), (2, 1, 6, 5), (3, 1, 7, 5)]
    assert boxes(HOW, flash)[2] == (15, 7, 19, 11)
