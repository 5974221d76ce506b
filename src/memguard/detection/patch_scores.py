"""The patch errors of a video as scores, places and regions, frame by frame in bounded memory."""

from collections.abc import Sequence

import torch
from torch import Tensor

from memguard.scoring import (
    StreamSmoother,
    errors_of_places,
    find_regions,
    worst_patch,
    worst_places,
)
from memguard.scoring.protocols import ScoreConfig


class PatchScores:
    """Smooth the patch errors of a video over time, and find its worst patches and its regions.

    Errors wait for the few frames after them that smoothing needs; scores and regions are stored.

    Args:
        scoring: The sizes of the patches, and the smoothing.
        frame: Height and width of the network's frame, pixels.

    Example:
        >>> scoring = ScoreConfig("patch", 0.6, (1, 0.5), smoothing=0, causal=False)
        >>> scores = PatchScores(scoring, frame=(1, 4))
        >>> scores.add(torch.tensor([[[[0.1, 0.3, 0.2]]]]))
        >>> found = scores.finish()
        >>> found["patch"], found["patch_column"], found["regions"].shape
        (tensor([0.3000]), tensor([1]), torch.Size([1, 5, 5]))
    """

    def __init__(self, scoring: ScoreConfig, frame: Sequence[int]) -> None:
        self._scoring, self._frame = scoring, frame
        self._smoother = StreamSmoother(scoring.smoothing, causal=scoring.causal)
        self._waiting: Tensor | None = None
        self._found: list[dict[str, Tensor]] = []

    def add(self, errors: Tensor) -> None:
        """Add the next frames.

        Args:
            errors: (N, S, rows, columns), from :func:`~memguard.scoring.patch_errors`.
        """
        errors = errors.cpu()
        waiting = errors if self._waiting is None else torch.cat([self._waiting, errors])
        smoothed = self._smoother(errors)
        self._waiting = waiting[len(smoothed) :]
        self._find(waiting[: len(smoothed)], smoothed)

    def finish(self) -> dict[str, Tensor]:
        """Return the values of all frames.

        Returns:
            ``patch``, (frames,), the joined error of the worst patches; ``patch_row`` and
            ``patch_column`` of the smallest patch that decides the score; and ``regions``,
            (frames, 5, 5), see :func:`~memguard.scoring.find_regions`.
        """
        if self._waiting is not None:
            self._find(self._waiting, self._smoother.finish())
        return {name: torch.cat([part[name] for part in self._found]) for name in self._found[0]}

    def _find(self, errors: Tensor, smoothed: Tensor) -> None:
        sizes = self._scoring.sizes
        own = errors_of_places(errors, sizes, self._frame)
        lasting = errors_of_places(smoothed, sizes, self._frame)
        # The frame's own errors decide its PSNR.
        decisive = lasting if self._scoring.name == "patch" else own
        places = worst_places(own, decisive, sizes[0], self._frame)
        self._found.append(
            {
                "patch": worst_patch(smoothed),
                "patch_row": places[:, 0],
                "patch_column": places[:, 1],
                "regions": find_regions(own, lasting, sizes[0], self._frame),
            }
        )
