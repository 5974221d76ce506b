"""The training and test of the authors' code, in the form and with the names of its files.

Written from the paper's equations, with a loop over items where ours has none. The fixture
``published`` loads it as ``model.published``, as their pickles name the modules that they need.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def basic(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


def upsample(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Encoder(nn.Module):
    def __init__(self, inputs: int, width: int, features: int) -> None:
        super().__init__()
        self.moduleConv1 = basic(inputs, width)
        self.modulePool1 = nn.MaxPool2d(2, 2)
        self.moduleConv2 = basic(width, 2 * width)
        self.modulePool2 = nn.MaxPool2d(2, 2)
        self.moduleConv3 = basic(2 * width, 4 * width)
        self.modulePool3 = nn.MaxPool2d(2, 2)
        self.moduleConv4 = basic(4 * width, features)[:4]
        self.moduleBatchNorm = nn.BatchNorm2d(features)
        self.moduleReLU = nn.ReLU()

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        fine = self.moduleConv1(frames)
        middle = self.moduleConv2(self.modulePool1(fine))
        coarse = self.moduleConv3(self.modulePool2(middle))
        return self.moduleConv4(self.modulePool3(coarse)), fine, middle, coarse


class Decoder(nn.Module):
    def __init__(self, channels: int, width: int, features: int, task: str) -> None:
        super().__init__()
        self.task = task
        keeps = 1 if task == "pred" else 2  # without skips an up-convolution keeps its channels
        self.moduleConv = basic(2 * features, features)
        self.moduleUpsample4 = upsample(features, 4 * width if task == "pred" else features)
        self.moduleDeconv3 = basic(8 * width if task == "pred" else features, 4 * width)
        self.moduleUpsample3 = upsample(4 * width, 2 * width * keeps)
        self.moduleDeconv2 = basic(4 * width, 2 * width)
        self.moduleUpsample2 = upsample(2 * width, width * keeps)
        self.moduleDeconv1 = basic(2 * width, width)
        self.moduleDeconv1.append(nn.Conv2d(width, channels, 3, padding=1)).append(nn.Tanh())

    def forward(self, fused: Tensor, fine: Tensor, middle: Tensor, coarse: Tensor) -> Tensor:
        def beside(skip: Tensor, up: Tensor) -> Tensor:
            return torch.cat([skip, up], dim=1) if self.task == "pred" else up

        x = self.moduleUpsample4(self.moduleConv(fused))
        x = self.moduleUpsample3(self.moduleDeconv3(beside(coarse, x)))
        x = self.moduleUpsample2(self.moduleDeconv2(beside(middle, x)))
        return self.moduleDeconv1(beside(fine, x))


class Memory(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.memory_size = size

    def forward(self, query: Tensor, items: Tensor) -> tuple[Tensor, float]:
        """Queries (K, C) with what is read for them, (K, 2C), and how far from the items."""
        read = torch.softmax(query @ items.T, dim=1) @ items
        nearest = items[(query @ items.T).argmax(dim=1)]
        return torch.cat([query, read], dim=1), F.mse_loss(query, nearest).item()

    def update(self, query: Tensor, items: Tensor) -> Tensor:
        score = query @ items.T
        over_queries = torch.softmax(score, dim=0)
        pull = torch.zeros_like(items)
        for m in range(len(items)):
            for k in (score.argmax(dim=1) == m).nonzero().flatten():
                pull[m] += over_queries[k, m] / over_queries[:, m].max() * query[k]
        return F.normalize(items + pull, dim=1)


class convAE(nn.Module):  # noqa: N801
    def __init__(self, task: str, width: int, features: int, size: int, channels: int = 3) -> None:
        super().__init__()
        self.encoder = Encoder(channels * (4 if task == "pred" else 1), width, features)
        self.decoder = Decoder(channels, width, features, task)
        self.memory = Memory(size)

    def forward(self, frames: Tensor, items: Tensor) -> tuple[Tensor, Tensor, float]:
        features, *skips = self.encoder(frames)
        height, width = features.shape[-2:]
        query = F.normalize(features, dim=1)[0].flatten(1).T
        fused, distance = self.memory(query, items)
        return self.decoder(fused.T.unflatten(1, (height, width))[None], *skips), query, distance


@torch.no_grad()
def score_frames(
    model: convAE, items: Tensor, videos: list[Tensor], gate: float
) -> list[list[tuple[float, float, float, bool]]]:
    """PSNR, distance, regular score and whether it was written, of each scored frame.

    Videos are (frames, C, H, W), values in [−1, 1].
    """
    past = 4 if model.decoder.task == "pred" else 0
    results = []
    for video in videos:
        rows = []
        for t in range(past, len(video)):
            before = video[t - past : t].flatten(0, 1) if past else video[t]
            output, query, distance = model(before[None], items)
            error = ((output[0] + 1) / 2 - (video[t] + 1) / 2) ** 2
            weight = 1 - torch.exp(-error)
            regular = ((weight * error).sum() / weight.sum()).item()
            if written := regular < gate:
                items = model.memory.update(query, items)
            rows.append((10 * math.log10(1 / error.mean().item()), distance, regular, written))
        results.append(rows)
    return results


def normality(rows: list[tuple[float, float, float, bool]], share: float) -> Tensor:
    """The score of each frame of one video; 1 is as normal as it gets."""
    psnr, distance = torch.tensor([row[:2] for row in rows], dtype=torch.float64).T
    likeness = (psnr - psnr.min()) / (psnr.max() - psnr.min())
    nearness = 1 - (distance - distance.min()) / (distance.max() - distance.min())
    return share * likeness + (1 - share) * nearness
