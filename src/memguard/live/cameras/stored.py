"""The items of a camera in a file, from which a restarted process continues."""

import hashlib
import logging
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from memguard.files import written_whole
from memguard.live.scorer import LiveScorer

log = logging.getLogger(__name__)


class StoredItems:
    """The items of a camera, which the guard updates, in a file that a restart continues from.

    Args:
        path: The file. Removing it resets the memory to the trained items.
        scorer: Has the guard.
        number: The number of the camera in it.
    """

    def __init__(self, path: Path, scorer: LiveScorer, number: int) -> None:
        self._path, self._number = path, number
        self._guard = scorer.detector.guard
        self._trained = _digest(scorer.detector.memory.items)
        self._load()

    def save(self) -> None:
        """Write the items, whole or not at all."""
        items = self._guard.items([self._number])[0].cpu().numpy()
        try:
            with written_whole(self._path) as unfinished:
                np.savez(unfinished, items=items, trained=self._trained)
        except OSError as error:
            log.warning("%s: the items cannot be saved (%s).", self._path, error.strerror)

    def _load(self) -> None:
        """Continue with stored items, if they began as the items of this checkpoint."""
        if not self._path.exists():
            return
        try:
            with np.load(self._path, allow_pickle=False) as stored:
                if str(stored["trained"]) == self._trained:
                    self._guard.restore(self._number, torch.from_numpy(stored["items"]))
                    return
            reason = "it is of another checkpoint"
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
        log.warning("%s is left out, as %s: the memory begins as trained.", self._path, reason)


def _digest(items: Tensor) -> str:
    return hashlib.sha256(items.detach().cpu().float().numpy().tobytes()).hexdigest()
