"""Try the step of a training before its data is prepared."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig

from memguard.config.trainer import refused_by
from memguard.detection.detector import Detector
from memguard.errors import ConfigError


@torch.no_grad()
def require_working_step(detector: Detector, config: DictConfig) -> None:
    """Predict one black window, and compute its losses, to find parts that do not fit.

    The detector stays as it was.

    Args:
        detector: As the training begins with it.
        config: Of the training.

    Raises:
        ConfigError: The network, the memory and the frames do not fit, or a term of the loss does
            not fit them.
    """
    data, items = config.data, detector.memory.items
    shape = (1, config.task.past + 1, data.channels, data.frame_size, data.frame_size)
    frames, target = detector.split(torch.zeros(shape, dtype=torch.uint8))
    training = detector.training
    detector.eval()
    with _unfit_reported("model"):
        output, recalled = detector(frames, items)
    if output.shape != target.shape:
        raise ConfigError(
            f"model cannot work: it makes {tuple(output.shape)} of {tuple(frames.shape)}, expected "
            f"a frame {tuple(target.shape)}."
        )
    with _unfit_reported("loss"):
        total, _terms = detector.total_loss(output, target, recalled, items)
    if total.dim():
        raise ConfigError(
            f"loss cannot work: it has the shape {tuple(total.shape)}, but each term must be a "
            "single number: take its mean."
        )
    detector.train(training)


@contextmanager
def _unfit_reported(key: str) -> Iterator[None]:
    with refused_by(key):
        try:
            yield
        except RuntimeError as error:  # torch's, of shapes
            raise ValueError(str(error).splitlines()[0]) from error
