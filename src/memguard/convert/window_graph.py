"""The graph of scoring a window: a network of tensors alone, which other runtimes execute."""

from typing import TypedDict

from torch import Tensor, nn

from memguard import scoring
from memguard.detection.detector import Detector
from memguard.detection.guarded_scoring import EncodedFrames, predict_and_score


class ScoredWindows(TypedDict):
    """The outputs of the graph, in order.

    Attributes:
        output: (B, C, H, W), the predicted or reconstructed frames, values in [−1, 1].
        error: (B, H, W), the squared error of each pixel, the mean over colours.
        psnr: (B,), dB.
        distance: (B,), of the queries from their items.
        regular: (B,), the regular score, which the guard compares with γ.
        patch: (B, S, rows, columns); see :func:`memguard.scoring.patch_errors`.
        query: (B, K, C), unit rows.
        updated: (B, M, C), the items after an update by the window's queries.
    """

    output: Tensor
    error: Tensor
    psnr: Tensor
    distance: Tensor
    regular: Tensor
    patch: Tensor
    query: Tensor
    updated: Tensor


OUTPUTS = tuple(ScoredWindows.__annotations__)


class WindowGraph(nn.Module):
    """Score the last frame of windows from given items, and update these items.

    The guard, which decides whether the updated items count, and the smoothing are outside.

    Args:
        detector: A trained detector.

    Example:
        >>> import torch
        >>> from memguard.model.autoencoder import Autoencoder
        >>> from memguard.model.memory import Memory
        >>> from memguard.detection.guard import MemoryGuard
        >>> from memguard.model.total_loss import published_loss
        >>> from memguard.scoring.protocols import ScoreConfig
        >>> detector = Detector(
        ...     Autoencoder(channels=1, width=4, features=8, past=4, skip_connections=True),
        ...     Memory(size=5, dim=8),
        ...     MemoryGuard(threshold=0.01, quantile=0.5, scope="dataset", enabled=True),
        ...     loss=published_loss(compactness=0.1, separateness=0.1),
        ...     optimizer=torch.optim.Adam, schedule=None,
        ...     scoring=ScoreConfig("published", 0.6, (0.25, 0.25), smoothing=1.0, causal=False),
        ...     channels_last=False, compiled=False,
        ... )
        >>> frames = torch.zeros(2, 5, 16, 24, 1, dtype=torch.uint8)
        >>> scored = WindowGraph(detector)(frames, detector.memory.items.expand(2, -1, -1))
        >>> scored["output"].shape, scored["updated"].shape
        (torch.Size([2, 1, 16, 24]), torch.Size([2, 5, 8]))
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector.eval()

    def forward(self, frames: Tensor, items: Tensor | None = None) -> ScoredWindows:
        """Score windows.

        Args:
            frames: uint8 (B, T, H, W, C), in the size of the network.
            items: (B, M, C), the memory of each window; None: the trained items.
        """
        detector, memory = self.detector, self.detector.memory
        items = memory.items if items is None else items
        inputs, target = detector.split(frames.movedim(-1, 2))
        features, skips = detector.autoencoder.encoder(inputs)
        encoded = EncodedFrames(features, memory.read_skips(skips), target)
        scored = predict_and_score(detector.autoencoder, memory, encoded, items)
        output, query = scored["output"], scored["query"]
        return ScoredWindows(
            output=output,
            error=scoring.squared_error(output, target).mean(dim=1),
            psnr=scored["psnr"],
            distance=scored["distance"],
            regular=scored["regular"],
            patch=scoring.patch_errors(output, target, detector.scoring.sizes),
            query=query,
            updated=memory.write(query, items, scored["similarity"]),
        )
