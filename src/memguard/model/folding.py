"""Fold batch norm into convolutions, for networks that are only run."""

from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Convolution = (nn.Conv2d, nn.ConvTranspose2d)


def fold_batch_norm(network: nn.Module) -> None:
    """Fold each batch norm into the convolution before it, in place.

    The outputs stay the same but for rounding, and need less time. Layers that follow each other in
    an :class:`~torch.nn.Sequential` are folded; others stay.

    Args:
        network: In evaluation mode. It can no longer be trained.

    Example:
        >>> layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU()).eval()
        >>> fold_batch_norm(layers)
        >>> [type(layer).__name__ for layer in layers]
        ['Conv2d', 'Identity', 'ReLU']
    """
    for layers in list(network.modules()):
        if isinstance(layers, nn.Sequential):
            _fold(layers)


def _fold(layers: nn.Sequential) -> None:
    for place, (layer, following) in enumerate(pairwise(list(layers))):
        if isinstance(layer, Convolution) and isinstance(following, nn.BatchNorm2d):
            transposed = isinstance(layer, nn.ConvTranspose2d)
            layers[place] = fuse_conv_bn_eval(layer, following, transpose=transposed)
            layers[place + 1] = nn.Identity()
