"""Callbacks that measure the model after each epoch."""

from typing import cast

import pytorch_lightning as pl
import torch
from torch import Tensor
from torchmetrics.functional.classification import binary_auroc

from memguard.data.clips.datamodule import ClipDataModule
from memguard.data.clips.pseudo_anomalies import PseudoSample, pseudo_sample
from memguard.detection.frame_scorer import FrameScorer
from memguard.distributed import share_buffers
from memguard.scoring import patch_errors, worst_patch
from memguard.scoring.protocols import frame_metrics
from memguard.training.callbacks.averaging import averaged_weights

BATCH = 16


class PseudoAUROC(pl.Callback):
    """Log how well held-out normal windows are separated from pseudo-anomalies made of them.

    ``val/pseudo_auroc`` needs no label and no anomaly, so that models may be chosen by it; see
    :func:`pseudo_auroc`. Nothing is logged where nothing is held out.

    Args:
        windows: Normal windows, and windows of each kind of pseudo-anomaly, at most.
    """

    def __init__(self, windows: int) -> None:
        self.windows = windows
        self._sample: PseudoSample | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Make the sample, the same for every epoch and every run on these videos."""
        data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
        self._sample = pseudo_sample(data.held_out, data.length, self.windows)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Score the sample with the items as trained."""
        if self._sample is None:
            return
        with trainer.precision_plugin.forward_context():
            areas = pseudo_auroc(cast(FrameScorer, pl_module), self._sample)
        pl_module.log_dict({f"val/{name}": area for name, area in areas.items()}, sync_dist=True)


class TestEachEpoch(pl.Callback):
    """Tests after each epoch, to watch how the AUROC comes about; it costs a whole test each time.

    Its metrics are named ``not_for_selection/…``: an epoch or a setting that is chosen by it is
    chosen by the test's own labels, and its figure means nothing.

    Args:
        enabled: False does nothing.
    """

    __test__ = False  # pytest takes classes of this name for its own

    def __init__(self, enabled: bool) -> None:
        self.enabled = enabled

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Run the test, as it runs at the end."""
        data: ClipDataModule = trainer.datamodule  # type: ignore[attr-defined]
        if not self.enabled or not data.test_segments:
            return
        scorer = cast(FrameScorer, pl_module)
        scorer.eval()
        with (
            averaged_weights(trainer, pl_module),
            torch.no_grad(),
            trainer.precision_plugin.forward_context(),
        ):
            share_buffers(scorer)
            FrameScorer.on_test_epoch_start(scorer)
            for index, batch in enumerate(data.test_dataloader()):
                scorer.test_step(trainer.strategy.batch_to_device(batch), index)
            metrics = frame_metrics(scorer.joined_frames(), scorer.scoring)
        scorer.train()
        scorer.log_dict(
            {
                name.replace("test/", "not_for_selection/"): value
                for name, value in metrics.items()
                if "auroc" in name
            }
        )


def pseudo_auroc(scorer: FrameScorer, sample: PseudoSample) -> dict[str, float]:
    """Separate normal windows from pseudo-anomalies by the largest error of a patch.

    That score alone means the same in every window: the published one is relative to a whole video,
    which loose windows have none of, and the PSNR depends more on how much there is to predict
    than on how well it is predicted.

    Args:
        scorer: In evaluation mode.
        sample: As :func:`memguard.data.clips.pseudo_anomalies.pseudo_sample` makes it.

    Returns:
        Areas under the ROC curve, in [0, 1]: ``pseudo_auroc_fast`` and so on, one of each kind, and
        ``pseudo_auroc``, the mean over the kinds.
    """
    normal = _worst_patch(scorer, sample.normal)
    areas = {
        f"pseudo_auroc_{kind}": _area(normal, _worst_patch(scorer, windows))
        for kind, windows in sample.anomalous.items()
    }
    return {"pseudo_auroc": sum(areas.values()) / len(areas), **areas}


@torch.no_grad()
def _worst_patch(scorer: FrameScorer, windows: Tensor) -> Tensor:
    """Compute the error of each window's worst patches, (N,)."""
    parts = [
        patch_errors(*scorer.predict(part.to(scorer.device)), scorer.scoring.sizes)
        for part in windows.split(BATCH)
    ]
    return worst_patch(torch.cat(parts))


def _area(normal: Tensor, anomalous: Tensor) -> float:
    scores = torch.cat([normal, anomalous])
    label = torch.cat([torch.zeros_like(normal), torch.ones_like(anomalous)]).long()
    return float(binary_auroc(scores, label))  # errors lie in [0, 1], as torchmetrics wants them
