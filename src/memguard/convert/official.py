"""Conversion of the authors' published checkpoints into ours.

Their training saves two files: the network, as a whole module, and the memory's items, a tensor.
Their evaluation is our published protocol, on frames with the colours in OpenCV's order.
"""

from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from rich.console import Console
from torch import Tensor

from memguard.config.compose import published_settings
from memguard.config.validation import require_complete
from memguard.convert.unpickle import read
from memguard.errors import CheckpointError, ConfigError
from memguard.files import written_whole
from memguard.model.autoencoder import Autoencoder
from memguard.training.build import build_detector
from memguard.training.buildable import LOADING_KEYS
from memguard.training.checkpoints import CONFIG_KEY
from memguard.training.settings import plain_settings

# Each part of our autoencoder, and its place in their network.
PARTS = {
    "encoder.blocks.0": "encoder.moduleConv1",
    "encoder.blocks.1": "encoder.moduleConv2",
    "encoder.blocks.2": "encoder.moduleConv3",
    "encoder.head": "encoder.moduleConv4",
    "decoder.bottom": "decoder.moduleConv",
    "decoder.ups.0": "decoder.moduleUpsample4",
    "decoder.blocks.0": "decoder.moduleDeconv3",
    "decoder.ups.1": "decoder.moduleUpsample3",
    "decoder.blocks.1": "decoder.moduleDeconv2",
    "decoder.ups.2": "decoder.moduleUpsample2",
    "decoder.blocks.2": "decoder.moduleDeconv1",
    # The output layer is, in theirs, the end of the block before it.
    "decoder.head.0": "decoder.moduleDeconv1.6",
}
UNUSED = "encoder.moduleBatchNorm."  # a layer that no frame goes through
COUNTER = ".num_batches_tracked"  # of batch norms; it has no effect at a fixed momentum

# The largest deviation of a normalised item's length from 1; half precision is well within.
UNIT_TOLERANCE = 1e-3


def import_checkpoint(config: DictConfig) -> None:
    """Convert the authors' two files into one checkpoint for ``memguard.evaluate``.

    Width, colours, features and M are those of the files; other settings are as published.

    Args:
        config: A configuration that ``conf/import_official.yaml`` composes.

    Raises:
        ConfigError: A value is missing, or there is no such task.
        CheckpointError: A file cannot be read, names code, or does not fit the task or the
            other file; or the output cannot be written.
    """
    require_complete(config)
    if config.task not in ("pred", "recon"):
        raise ConfigError(f"task={config.task} cannot work: it must be pred or recon.")
    # By key: items is also a method of every configuration.
    model, keys, output = (Path(config[name]) for name in ("model", "items", "output"))
    weights = read_network(model)
    items = read_items(keys)
    settings = _settings(config.task, weights, items)
    detector = build_detector(settings)
    for name, ours in _by_their_names(detector.autoencoder).items():
        _copy(weights[name], ours, f"{model} with task={config.task}: {name}")
    _turn_colours(detector.autoencoder)
    _copy(items, detector.memory.items, f"{keys} for {model}: the matrix of items")
    _write({CONFIG_KEY: plain_settings(settings), "state_dict": detector.state_dict()}, output)
    Console(markup=False).print(
        f"{output} is ready for memguard.evaluate.", soft_wrap=True, highlight=False
    )


def read_network(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the network, by their names in the authors' module.

    Raises:
        CheckpointError: The file is not the network of the authors' code, or contains NaN.
    """
    saved = read(path)
    if not isinstance(saved, dict) or not all(isinstance(x, Tensor) for x in saved.values()):
        raise CheckpointError(
            f"{path} holds a {type(saved).__name__}, expected a network or its state_dict: set "
            f"model to the model.pth of the authors' training."
        )
    # DataParallel puts its own name before each.
    named = {str(name).removeprefix("module."): tensor for name, tensor in saved.items()}
    weights = {
        name: _finite(tensor, f"{path}: {name}")
        for name, tensor in named.items()
        if not name.startswith(UNUSED) and not name.endswith(COUNTER)
    }
    with torch.device("meta"):
        smallest = Autoencoder(channels=1, width=1, features=1, past=0, skip_connections=False)
    known = _by_their_names(smallest).keys()
    for names, found in ((known - weights.keys(), "lacks"), (weights.keys() - known, "also has")):
        if names:
            raise CheckpointError(
                f"{path} is not the published network, it {found} {min(names)} ({len(names)} such "
                f"tensors): set model to the model.pth of the authors' training."
            )
    return weights


def read_items(path: Path) -> Tensor:
    """Read the memory's items, (M, C), unit rows.

    Raises:
        CheckpointError: The file holds something else, or NaN.
    """
    items = read(path)
    remedy = "set items to the keys.pt that was saved with the model."
    if not isinstance(items, Tensor) or items.dim() != 2 or len(items) < 2:
        raise CheckpointError(f"{path} holds no matrix of two or more items: {remedy}")
    lengths = _finite(items, f"{path}: the matrix of items").float().norm(dim=1)
    if (lengths - 1).abs().max() > UNIT_TOLERANCE:
        raise CheckpointError(
            f"{path}: the items' lengths go from {lengths.min():.4g} to {lengths.max():.4g}, but "
            f"the items of a training have length 1: {remedy}"
        )
    return items


def their_name(name: str) -> str:
    """Translate the name of a tensor in our autoencoder to that in theirs.

    Example:
        >>> their_name("decoder.head.0.bias")
        'decoder.moduleDeconv1.6.bias'
    """
    ours, theirs = next(part for part in PARTS.items() if name.startswith(f"{part[0]}."))
    return theirs + name.removeprefix(ours)


def _by_their_names(autoencoder: Autoencoder) -> dict[str, Tensor]:
    return {
        their_name(name): tensor
        for name, tensor in autoencoder.state_dict().items()
        if not name.endswith(COUNTER)
    }


def _finite(tensor: Tensor, what: str) -> Tensor:
    if not tensor.isfinite().all():
        raise CheckpointError(
            f"{what} has values that are NaN or infinite: this training failed; use an earlier "
            f"checkpoint of it."
        )
    return tensor


def _turn_colours(autoencoder: Autoencoder) -> None:
    """Reverse the colours of the first and the last layer: OpenCV has blue first, we have red."""
    ours = autoencoder.state_dict()
    first, bias = ours["encoder.blocks.0.0.weight"], ours["decoder.head.0.bias"]
    frames = first.unflatten(1, (-1, len(bias)))
    first.copy_(frames.flip(2).flatten(1, 2))
    for last in (ours["decoder.head.0.weight"], bias):
        last.copy_(last.flip(0))


def _settings(task: str, weights: dict[str, Tensor], items: Tensor) -> DictConfig:
    """Compose the published settings of a task, with the sizes of the tensors."""
    settings = published_settings(task)
    # An evaluation names the dataset; the settings for reading its files stay.
    loading = {key: settings.dataset[key] for key in LOADING_KEYS}
    settings.dataset = {"_target_": "???", **loading}
    settings.model.width = weights["encoder.moduleConv1.0.bias"].numel()
    settings.memory.size = len(items)
    settings.memory.dim = weights["encoder.moduleConv4.3.bias"].numel()
    settings.data.channels = weights["decoder.moduleDeconv1.6.bias"].numel()
    settings.trainer.precision = "32-true"
    return settings


@torch.no_grad()
def _copy(theirs: Tensor, ours: Tensor, what: str) -> None:
    if theirs.shape != ours.shape:
        found, expected = ("×".join(map(str, tensor.shape)) for tensor in (theirs, ours))
        raise CheckpointError(
            f"{what} is {found}, expected {expected}: give the task that it was trained for, and "
            f"a model and items of one training."
        )
    ours.copy_(theirs)


def _write(checkpoint: dict[str, Any], output: Path) -> None:
    try:
        with written_whole(output) as unfinished:
            torch.save(checkpoint, unfinished)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"{output} cannot be written ({error}): set output to a file in a folder that can be "
            f"written and has space."
        ) from error
