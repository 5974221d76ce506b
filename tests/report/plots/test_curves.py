import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from memguard.report.plots.curves import score_curves
from memguard.scoring.protocols import ScoreConfig

LABEL = torch.tensor([0, 0, 1, 1, 0, 1, -1])


def frames(label: torch.Tensor) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(0)
    columns = {name: torch.rand(7, generator=rng).double() for name in ("psnr", "distance")}
    # Far beyond 1, where torchmetrics would take scores for logits and tie them.
    columns["patch"] = 1000 + torch.tensor([1.0, 4.0, 3.5, 8.0, 2.0, 3.0, 99.0]).double()
    return columns | {"video": torch.zeros(7), "label": label}


def test_the_tests_own_score_comes_first_and_agrees_with_scikit_learn() -> None:
    scoring = ScoreConfig("patch", weight=0.6, patch=(0.2, 0.1), smoothing=0, causal=False)
    own, *others = score_curves(frames(LABEL), scoring)
    assert [own.name, *(curve.name for curve in others)] == ["patch", "published", "unnormalised"]
    known, score = LABEL[:-1].numpy(), frames(LABEL)["patch"][:-1].numpy()
    assert own.area == pytest.approx(roc_auc_score(known, score))
    steps = -np.diff(own.recall, append=0) * own.precision
    assert steps.sum() == pytest.approx(average_precision_score(known, score))


@pytest.mark.parametrize("label", [torch.zeros(7), torch.full((7,), -1)])
def test_one_class_has_no_curve(label: torch.Tensor) -> None:
    scoring = ScoreConfig("published", weight=0.6, patch=(0.2, 0.1), smoothing=0, causal=False)
    assert score_curves(frames(label.long()), scoring) == []
