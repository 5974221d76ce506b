"""A network: a convolutional LSTM reads the past frames one after the other."""

import torch
from torch import Tensor, nn


class ConvLSTM(nn.Module):
    """Encode patches of frames over time (Shi et al., 2015)."""

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.channels = channels
        self.patches = nn.Conv2d(channels, features, stride, stride=stride)
        self.gates = nn.Conv2d(2 * features, 4 * features, 3, padding=1)

    def forward(self, frames: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the last hidden state, and no skips."""
        seen = [self.patches(frame) for frame in frames.split(self.channels, dim=1)]
        hidden = cell = torch.zeros_like(seen[0])
        for patches in seen:
            gates = self.gates(torch.cat([patches, hidden], dim=1))
            write, keep, show, new = gates.chunk(4, dim=1)
            cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
            hidden = show.sigmoid() * cell.tanh()
        return hidden, []


class Decoder(nn.Module):
    """Decode each patch by itself."""

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.mix = nn.Sequential(nn.Conv2d(2 * features, features, 3, padding=1), nn.ReLU())
        self.patches = nn.ConvTranspose2d(features, channels, stride, stride=stride)

    def forward(self, fused: Tensor, skips: list[Tensor]) -> Tensor:
        """Return frames with values in [−1, 1]."""
        return self.patches(self.mix(fused)).tanh()


class ConvLSTMNet(nn.Module):
    """The encoder and the decoder; the memory between them is a module of its own."""

    def __init__(self, channels: int, features: int, stride: int) -> None:
        super().__init__()
        self.features, self.stride = features, stride
        self.encoder = ConvLSTM(channels, features, stride)
        self.decoder = Decoder(channels, features, stride)
