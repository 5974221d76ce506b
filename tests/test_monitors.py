"""What a model is worth after an epoch."""

import torch
from torch import Tensor

from memguard.baselines import PreviousFrame
from memguard.data.pseudo import PseudoSample
from memguard.monitors import pseudo_auroc
from memguard.protocols import Scoring

HOW = Scoring("published", weight=1.0, patch=(0.5, 0.5), smoothing=0, causal=False)


def stepping(*steps: int) -> Tensor:
    """Windows of two frames, the second brighter than the first by a step in one corner."""
    windows = torch.zeros(len(steps), 2, 1, 8, 8, dtype=torch.uint8)
    for window, step in zip(windows, steps, strict=True):
        window[1, :, :4, :4] = step
    return windows


def test_the_area_is_the_share_of_pairs_that_are_told_right() -> None:
    sample = PseudoSample(
        normal=stepping(10, 30), anomalous={"fast": stepping(20, 40), "pasted": stepping(5)}
    )
    areas = pseudo_auroc(PreviousFrame(HOW), sample)
    assert areas == {"pseudo_auroc": 0.375, "pseudo_auroc_fast": 0.75, "pseudo_auroc_pasted": 0.0}


def test_the_worst_patch_counts_and_not_the_whole_picture() -> None:
    normal = torch.zeros(1, 2, 1, 8, 8, dtype=torch.uint8)
    normal[:, 1] = 20  # a little everywhere: the larger error on the whole
    sample = PseudoSample(normal, {"pasted": stepping(35)})
    assert pseudo_auroc(PreviousFrame(HOW), sample)["pseudo_auroc"] == 1.0
