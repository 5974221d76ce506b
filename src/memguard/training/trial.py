"""Try the parts of a training before its data is prepared."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from omegaconf import DictConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from memguard.config.trainer import refused_by
from memguard.data.video.frame_size import sides
from memguard.detection.detector import Detector
from memguard.errors import ConfigError
from memguard.model.autoencoder import Network
from memguard.model.total_loss import readable

# Some milliseconds, and more than most schedules wait for their next change.
SCHEDULED_STEPS = 1000


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
    _require_same_sizes(detector, config)
    data, items = config.data, detector.memory.items
    shape = (1, config.task.past + 1, data.channels, *sides(data.frame_size))
    training = detector.training
    detector.eval()
    with _unfit_reported("denoise"):
        frames, target = detector.split(torch.zeros(shape, dtype=torch.uint8))
    with _unfit_reported("model"):
        output, recalled = detector(frames, items)
    if output.shape != target.shape:
        raise ConfigError(
            f"model cannot work: it makes {tuple(output.shape)} of {tuple(frames.shape)}, expected "
            f"a frame {tuple(target.shape)}."
        )
    known = readable(output, target, recalled, items)
    for name, term in detector.loss.terms.items():
        _require_number(f"loss.{name}", term, known)
    detector.train(training)


def _require_number(key: str, term: nn.Module, known: dict[str, Tensor]) -> None:
    with _unfit_reported(key):
        value = term(**known)
    if value.dim():
        raise ConfigError(
            f"{key} cannot work: it has the shape {tuple(value.shape)}, but a term must be a "
            "single number: take its mean."
        )


def _require_same_sizes(detector: Detector, config: DictConfig) -> None:
    network, size = detector.autoencoder, config.data.frame_size
    for name in Network.__annotations__:
        if not isinstance(getattr(network, name, None), int):
            raise ConfigError(
                f"model cannot work: {type(network).__name__} has no {name}; give it features, the "
                "channels of its encoder's output, and stride, which divides the side of a frame."
            )
    memory = detector.memory
    if not isinstance(getattr(memory, "items", None), Tensor):
        raise ConfigError(
            f"memory cannot work: {type(memory).__name__} has no items; give it a buffer items, "
            "(M, C)."
        )
    if network.features != (length := detector.memory.items.shape[-1]):
        raise ConfigError(
            f"model cannot work: its encoder has {network.features} features, but the memory's "
            f"items have length {length}: set memory.dim={network.features}."
        )
    if any(side % network.stride for side in sides(size)):
        raise ConfigError(
            f"data.frame_size={size} cannot work: it must be a multiple of {network.stride}, the "
            f"stride of {type(network).__name__}."
        )


def require_working_optimizer(detector: Detector) -> None:
    """Build the optimizer, and take steps of its schedule: torch checks some settings late.

    Raises:
        ConfigError: A setting of the optimizer or of the scheduler cannot work.
    """
    with _unfit_reported("optimizer"):
        optimizer = detector.make_optimizer([torch.nn.Parameter(torch.zeros(1))])
    if detector.schedule:
        with _unfit_reported("scheduler"), warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*before `optimizer.step.*")  # nothing is trained
            scheduler = detector.schedule.begin(optimizer, SCHEDULED_STEPS)
            if not isinstance(scheduler, LRScheduler):
                raise TypeError(f"it makes {scheduler!r} in place of a scheduler of PyTorch")
            for _ in range(SCHEDULED_STEPS):
                scheduler.step()


@contextmanager
def _unfit_reported(key: str) -> Iterator[None]:
    with refused_by(key):
        try:
            yield
        except (RuntimeError, ArithmeticError) as error:  # torch's
            raise ValueError(str(error).splitlines()[0]) from error
