"""The test loop: score a frame, compare its regular score with γ, then update the memory.

The memory changes at test time in one place: the call of ``guard.update`` in
:meth:`GuardedScoring._score_encoded`.

Source: Park, Noh, Ham, "Learning Memory-guided Normality for Anomaly Detection", CVPR 2020,
section 3.2, equation 8, and section 3.4.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from memguard import scoring
from memguard.detection.frame_scorer import RememberedFrames
from memguard.detection.guard import MemoryGuard
from memguard.detection.lookahead import Lookahead
from memguard.model.autoencoder import Autoencoder
from memguard.model.losses import nearest_items
from memguard.model.memory.base import BaseMemory, MemoryRead


class EncodedFrames(NamedTuple):
    """The encoder's output for frames, and the frames to predict.

    Attributes:
        features: (B, C, H', W'), the encoder's map.
        skips: The maps that the decoder gets beside it.
        target: (B, C, H, W), the true frames, values in [−1, 1].
    """

    features: Tensor
    skips: list[Tensor]
    target: Tensor

    def select(self, places: Sequence[int]) -> "EncodedFrames":
        """Select some of the frames."""
        skips = [_select(skip, places) for skip in self.skips]
        return EncodedFrames(_select(self.features, places), skips, _select(self.target, places))


class GuardedScoring:
    """Score the frames of a test in order; each normal frame updates the memory for the next.

    The scores equal those of a loop over single frames. Frames are encoded together, because the
    encoder does not see the memory; :class:`Lookahead` chooses which frames are decoded together.

    Args:
        autoencoder: Encoder and decoder.
        memory: Reads from the items of the test.
        guard: Holds the items of the test and decides which frames update them. Call its ``begin``
            first.
        lookahead: Chooses the frames to decode at once.
        sizes: For each size of patches, height and width as shares of the frame's.

    Example:
        >>> from memguard.model.memory import Memory
        >>> autoencoder = Autoencoder(
        ...     channels=1, width=4, features=8, past=4, skip_connections=True
        ... ).eval()
        >>> guard = MemoryGuard(threshold=9.0, quantile=0.5, scope="dataset", enabled=True)
        >>> memory = Memory(size=5, dim=8)
        >>> guard.begin(memory)
        >>> ahead = Lookahead(frames=1)
        >>> loop = GuardedScoring(autoencoder, memory, guard, ahead, sizes=[(0.25, 0.25)])
        >>> frames, target = torch.zeros(3, 4, 16, 16), torch.zeros(3, 1, 16, 16)
        >>> with torch.no_grad():
        ...     scored = loop.score(frames, target, videos=torch.tensor([0, 0, 0]))
        >>> scored["written"]
        tensor([True, True, True])
        >>> torch.equal(scored["items"], memory.items)
        False
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        memory: BaseMemory,
        guard: MemoryGuard,
        lookahead: Lookahead,
        sizes: Sequence[Sequence[float]],
    ) -> None:
        self.autoencoder = autoencoder
        self.memory = memory
        self.guard = guard
        self.lookahead = lookahead
        self.sizes = sizes

    def score(self, frames: Tensor, target: Tensor, videos: Tensor) -> RememberedFrames:
        """Score frames and update the memory.

        Args:
            frames: (B, inputs, H, W), the encoder's input, values in [−1, 1]. The frames of one
                video are in order, and the next call continues them.
            target: (B, C, H, W), the true frames, values in [−1, 1].
            videos: (B,), the number of each frame's video.
        """
        at_once = self.lookahead.frames
        batches = zip(
            frames.split(at_once), target.split(at_once), videos.split(at_once), strict=True
        )
        scored = [self._score_batch(*batch) for batch in batches]
        joined = {name: torch.cat([part[name] for part in scored]) for name in scored[0]}
        return {
            "output": joined["output"],
            "target": target,
            "psnr": joined["psnr"],
            "distance": joined["distance"],
            "regular": joined["regular"],
            "written": joined["written"],
            "patch": scoring.patch_errors(joined["output"], target, self.sizes),
            "query": joined["query"],
            "similarity": joined["similarity"],
            "items": self.guard.items(self.guard.memories(videos[-1:]))[0],
        }

    def _score_batch(self, frames: Tensor, target: Tensor, videos: Tensor) -> dict[str, Tensor]:
        """Encode frames at once, score them, and restore their order."""
        features, skips = self.autoencoder.encoder(frames)
        encoded = EncodedFrames(features, self.memory.read_skips(skips), target)
        rounds = list(self._score_encoded(encoded, self.guard.memories(videos)))
        order = torch.tensor([place for places, _ in rounds for place in places]).argsort().tolist()
        scored = {
            name: _select(torch.cat([part[name] for _, part in rounds]), order)
            for name in rounds[0][1]
        }
        for name in ("query", "similarity"):
            scored[name] = scored[name].unflatten(1, features.shape[-2:])
        return scored

    def _score_encoded(
        self, encoded: EncodedFrames, memories: Sequence[int]
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Predict and score frames; a frame that passes the guard updates its memory.

        Args:
            encoded: All frames.
            memories: The number of each frame's memory.

        Yields:
            The places of scored frames, and their values.
        """
        self.lookahead.begin(memories)
        while places := self.lookahead.choose():
            own = [memories[place] for place in places]
            scored = self._predict(encoded.select(places), self.guard.items(own))
            passes = scored["written"].tolist()
            valid = self.lookahead.accept(passes)
            normal = [row for row in valid if passes[row]]
            self.guard.update(_select(scored["query"], normal), [own[row] for row in normal])
            yield (
                [places[row] for row in valid],
                {name: _select(values, valid) for name, values in scored.items()},
            )

    def _predict(self, encoded: EncodedFrames, items: Tensor) -> dict[str, Tensor]:
        """Predict and score frames, each from its own memory: items (B, M, C)."""
        scored = predict_and_score(self.autoencoder, self.memory, encoded, items)
        return scored | {"written": self.guard.passes(scored["regular"])}


def predict_and_score(
    autoencoder: Autoencoder, memory: BaseMemory, encoded: EncodedFrames, items: Tensor
) -> dict[str, Tensor]:
    """Predict and score frames from the items of a test.

    Args:
        autoencoder: Decodes them.
        memory: Reads from the items.
        encoded: The frames.
        items: (M, C), or (B, M, C) with a memory per frame.

    Returns:
        ``output``, ``psnr``, ``distance``, ``regular`` and ``similarity`` as in
        :class:`~memguard.detection.frame_scorer.RememberedFrames`, and ``query``, (B, K, C).
    """
    recalled: MemoryRead = memory(encoded.features, items)
    output = autoencoder.decoder(recalled.fused, encoded.skips)
    return {
        "output": output,
        "psnr": scoring.psnr(output, encoded.target),
        "distance": _distance(recalled, items),
        "regular": scoring.regular_score(output, encoded.target),
        "query": recalled.query,
        "similarity": recalled.similarity,
    }


def _distance(recalled: MemoryRead, items: Tensor) -> Tensor:
    """Measure how far each frame is from its memory, (B,); 0 for an empty memory."""
    query, similarity = recalled.query, recalled.similarity
    if items.shape[-2] == 0:
        return query.new_zeros(query.shape[0])  # len() would fix it in an exported graph
    return scoring.feature_distance(query, nearest_items(query, items, 1, similarity)[:, :, 0])


def _select(values: Tensor, places: Sequence[int]) -> Tensor:
    """Select rows; a view where the rows are adjacent."""
    if places and list(places) == list(range(places[0], places[0] + len(places))):
        return values[places[0] : places[0] + len(places)]
    return values[list(places)]
