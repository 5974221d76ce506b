"""Live scoring by an exported graph, without PyTorch; see :mod:`memguard.live.stream_scorer`."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from memguard.detection.alarm_scale import GraphAlarm
from memguard.errors import CheckpointError, ConfigError, access_reported
from memguard.live.graph.description import DescribedAlarm, DescribedGuard, Description
from memguard.live.graph.runtime import Graph, open_graph
from memguard.live.stream_scorer import ScoredFrames, StreamScorer, require_alarm

log = logging.getLogger(__name__)


class GraphScorer(StreamScorer):
    """Score streams by an exported graph, and update its items as the guard does.

    Args:
        graph: The graph.
        described: Its description.
        guard: Decides which frames update the items; by default as described.
    """

    reference = None

    def __init__(
        self, graph: Graph, described: Description, guard: DescribedGuard | None = None
    ) -> None:
        super().__init__(
            length=described.length,
            frame_size=described.frame_size,
            channels=described.channels,
            sizes=described.sizes,
            smoothing=described.smoothing,
            alarm=_scale(described.alarm),
            fps=described.fps,
        )
        self._standing = _scale(described.standing) if described.standing else None
        self._graph, self._trained = graph, described.items
        self._guard = guard or described.guard
        self._items: dict[int, np.ndarray] = {}

    @property
    def standing(self) -> GraphAlarm | None:
        """The alarm of things that stand still, if the checkpoint was calibrated for it."""
        return self._standing

    def score_windows(self, windows: np.ndarray, streams: Sequence[int]) -> ScoredFrames:
        """Score windows one by one, since each may update the items for the next."""
        rows = [self._score(*pair) for pair in zip(windows, streams, strict=True)]
        return ScoredFrames(*map(np.stack, zip(*rows, strict=True)))

    def _score(self, window: np.ndarray, stream: int) -> ScoredFrames:
        memory = stream if self._guard.scope == "video" else 0
        items = self._items.get(memory, self._trained)
        inputs = {"items": items[None]} if len(items) else {}
        found = {
            name: values[0]
            for name, values in self._graph(frames=window[None], **inputs).items()
            if len(values)  # of updated items there are none without a memory
        }
        written = self._passes(found["regular"])
        if written:
            self._items[memory] = found["updated"]
        values = {name: found[name] for name in ScoredFrames._fields if name != "written"}
        return ScoredFrames(written=np.array(written), **values)

    def _passes(self, regular: np.ndarray) -> bool:
        """Compare a regular score with γ."""
        limit = self._guard.threshold
        return self._guard.enabled and limit is not None and bool(regular < np.float32(limit))


def _scale(alarm: DescribedAlarm) -> GraphAlarm:
    return GraphAlarm(alarm.normal_scores, alarm.sample, alarm.tail)


def open_scorer(config: DictConfig) -> GraphScorer:
    """Open the exported graph that a command names.

    Args:
        config: A configuration that ``conf/score.yaml`` composes, with another backend than torch.

    Raises:
        UserError: The graph or its description cannot be used, or is of another backend.
    """
    path, backend = Path(config.checkpoint), config.backend
    with access_reported(path):
        if not path.is_file():
            raise CheckpointError(f"{path}: there is no such file; set checkpoint to a graph.")
    described = Description.of_graph(path)
    if described.format != backend:
        raise ConfigError(
            f"backend={backend} cannot run {path}, which was exported with "
            f"format={described.format}: set backend={described.format}, or export it again."
        )
    changes = {
        name: config.guard[name]
        for name in DescribedGuard.model_fields
        if config.guard[name] is not None
    }
    if not len(described.items):
        changes["enabled"] = False
    guard = described.guard.model_copy(update=changes)
    if config.conditions:
        log.info("%s: an exported graph recognises no covered, frozen or moved camera.", path)
    scorer = GraphScorer(open_graph(path, described.format), described, guard)
    require_alarm(path, scorer.alarm)
    return scorer
