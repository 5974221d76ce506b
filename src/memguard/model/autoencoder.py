"""The autoencoder around the memory: an encoder from frames to queries, and a decoder to frames.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.1 and its supplement.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

STRIDE = 8  # of three poolings


class Network(Protocol):
    """The contract of an encoder and decoder; the memory between them is a module of its own.

    Attributes:
        features: C, the channels of the query map, equal to the memory's ``dim``.
        stride: The sides of frames are multiples of it.
    """

    features: int
    stride: int

    def encoder(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode frames.

        Args:
            frames: (B, max(past, 1)·channels, H, W), values in [−1, 1].

        Returns:
            The features (B, C, H', W'), and any skips that the decoder takes.
        """

    def decoder(self, fused: Tensor, skips: list[Tensor]) -> Tensor:
        """Decode a frame.

        Args:
            fused: (B, 2C, H', W'), the queries and the items read for them.
            skips: As the encoder returns them.

        Returns:
            (B, channels, H, W), values in [−1, 1].
        """


def with_batch_norm(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """Return a convolution, batch norm and ReLU.

    The bias of the convolution takes no gradient, because batch norm subtracts it: the gradient is
    rounding error, and its sum takes a seventh of a training step of ``recon`` on a CPU.
    """
    convolution.get_parameter("bias").requires_grad_(False)
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]


def conv3x3(inputs: int, outputs: int) -> nn.Conv2d:
    """Return a 3×3 convolution with output of the input's size."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)


def conv_block(inputs: int, outputs: int) -> nn.Sequential:
    """Return two 3×3 convolutions, each with batch norm and ReLU, of the input's size."""
    return nn.Sequential(
        *with_batch_norm(conv3x3(inputs, outputs)), *with_batch_norm(conv3x3(outputs, outputs))
    )


def up_block(inputs: int, outputs: int) -> nn.Sequential:
    """Return a transposed 3×3 convolution of stride 2, batch norm and ReLU: twice the size."""
    up = nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1)
    return nn.Sequential(*with_batch_norm(up))


class Encoder(nn.Module):
    """Encode frames as a map of features at an eighth of their size.

    Args:
        inputs: Channels of the input: frames × colours.
        width: Channels of the first block; the next two have two and four times as many.
        features: Channels C of the query map; the same as the memory's ``dim``.
    """

    def __init__(self, inputs: int, width: int, features: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            [
                conv_block(inputs, width),
                conv_block(width, 2 * width),
                conv_block(2 * width, 4 * width),
            ]
        )
        self.pool = nn.MaxPool2d(2)
        # No batch norm or activation at the end: the components of queries have both signs.
        self.head = nn.Sequential(
            *with_batch_norm(conv3x3(4 * width, features)), conv3x3(features, features)
        )

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Encode frames.

        Args:
            frames: (B, inputs, H, W) with values in [−1, 1]; H and W multiples of 8.

        Returns:
            The features (B, C, H/8, W/8), and the skips, the maps before each pooling, finest
            first: (B, width, H, W), (B, 2·width, H/2, W/2), (B, 4·width, H/4, W/4).
        """
        skips = []
        x = frames
        for block in self.blocks:
            x = block(x)
            skips.append(x)
            x = self.pool(x)
        return self.head(x), skips


class Decoder(nn.Module):
    """Decode queries and the items read for them as one frame.

    Args:
        outputs: Channels of the frame.
        width: As in :class:`Encoder`.
        features: Channels C of the query map; the decoder takes 2·C.
        skip_connections: Concatenate the encoder's maps at each scale (``pred``), or decode the
            queries and items alone (``recon``).
    """

    def __init__(self, outputs: int, width: int, features: int, *, skip_connections: bool) -> None:
        super().__init__()
        self.skip_connections = skip_connections
        self.bottom = conv_block(2 * features, features)
        scales = [4 * width, 2 * width, width]
        # With skips an up-convolution halves its channels, and the encoder's map has the other
        # half; without, the block after it halves them.
        ups = scales if skip_connections else [features, 4 * width, 2 * width]
        joined = [2 * scale for scale in scales] if skip_connections else ups
        self.ups = nn.ModuleList(
            up_block(inputs, outputs)
            for inputs, outputs in zip([features, *scales[:2]], ups, strict=True)
        )
        self.blocks = nn.ModuleList(
            conv_block(inputs, outputs) for inputs, outputs in zip(joined, scales, strict=True)
        )
        self.head = nn.Sequential(conv3x3(width, outputs), nn.Tanh())

    def forward(self, fused: Tensor, skips: list[Tensor]) -> Tensor:
        """Decode a frame.

        Args:
            fused: (B, 2C, H/8, W/8), the queries and the items read for them.
            skips: The encoder's maps, finest first; unused without skip connections.

        Returns:
            (B, outputs, H, W) with values in [−1, 1].
        """
        x = self.bottom(fused)
        for up, block, skip in zip(self.ups, self.blocks, reversed(skips), strict=True):
            x = up(x)
            if self.skip_connections:
                x = torch.cat([skip, x], dim=1)
            x = block(x)
        return self.head(x)


class Autoencoder(nn.Module):
    """Encoder and decoder of one task; the memory between them is a module of its own.

    Args:
        channels: Colours of a frame: 1 (grey) or 3 (RGB).
        width: Channels of the first block; 64 as published.
        features: Channels C of the query map; 512 as published.
        past: Number of past frames in the input: 4 predict the next frame, 0 reconstruct a frame.
        skip_connections: See :class:`Decoder`.

    Attributes:
        features: Channels C of the query map.
        stride: 8, how often the query map is smaller than the frame.

    Example:
        >>> import torch
        >>> model = Autoencoder(channels=1, width=8, features=64, past=4, skip_connections=True)
        >>> features, skips = model.encoder(torch.zeros(2, 4, 32, 32))
        >>> features.shape
        torch.Size([2, 64, 4, 4])
        >>> model.decoder(torch.cat([features, features], dim=1), skips).shape
        torch.Size([2, 1, 32, 32])
    """

    def __init__(
        self, *, channels: int, width: int, features: int, past: int, skip_connections: bool
    ) -> None:
        super().__init__()
        self.features, self.stride = features, STRIDE
        self.encoder = Encoder(max(past, 1) * channels, width, features)
        self.decoder = Decoder(channels, width, features, skip_connections=skip_connections)
