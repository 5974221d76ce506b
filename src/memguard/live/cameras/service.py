"""The service: many cameras in one process, scored together, each apart from the others."""

import hashlib
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from itertools import chain, islice
from pathlib import Path
from threading import Event

from omegaconf import DictConfig

from memguard.config.cameras import named_in_errors
from memguard.data.video.addresses import true_source
from memguard.data.video.stream import Pictures
from memguard.data.video.timing import USUAL_FPS
from memguard.detection.ignored import ignored_places
from memguard.live.cameras.watched_camera import WatchedCamera
from memguard.live.conditions import warn_without_reference
from memguard.live.notify.delivery import CLOSING, Delivery
from memguard.live.notify.notifier import close_deliveries, open_deliveries
from memguard.live.page.status import CameraStatus
from memguard.live.scorer import LiveScorer, changes_of, load
from memguard.live.standing import require_standing
from memguard.report.alarm_levels import warn_of_few_hours

# Pictures that are scored as one batch.
AT_ONCE = 32

# Seconds to wait for pictures where none has come, and between two ticks of a camera.
IDLE_SECONDS, TICK_SECONDS = 0.02, 1.0

# Seconds to deliver notifications after SIGTERM; the next process delivers the rest.
STOPPING_SECONDS = 0.5

log = logging.getLogger(__name__)


@contextmanager
def service_of(
    settings: Mapping[str, DictConfig], config: DictConfig, spool: Path, stopped: Event
) -> Iterator["Service"]:
    """Open cameras, and what delivers their notifications, for as long as they are watched.

    Args:
        settings: Of each camera, by its name.
        config: The command's.
        spool: The folder of notifications that are not delivered yet.
        stopped: Is set when the service has to end soon.

    Raises:
        UserError: A checkpoint, a mask or a receiver of notifications cannot be used; the message
            names the camera.
    """
    with ExitStack() as stack:
        scorers = _scorers(settings, config)
        _require_masks(settings, scorers, config.cameras)
        deliveries = stack.enter_context(_deliveries(settings, config.cameras, spool, stopped))
        folder = Path(config.folder)
        cameras = []
        for name, own in settings.items():
            camera = WatchedCamera(name, own, scorers[name], folder / name, deliveries[name])
            cameras.append(stack.enter_context(closing(camera)))
        yield Service(cameras)


class Service:
    """Score the pictures of cameras as they come; cameras of one checkpoint are one batch.

    Args:
        cameras: The cameras.
    """

    def __init__(self, cameras: Sequence[WatchedCamera]) -> None:
        self._cameras = cameras
        self._ticked = 0.0
        self._statuses = [camera.status() for camera in cameras]

    def statuses(self) -> Sequence[CameraStatus]:
        """Return the status of each camera, at most some seconds old; any thread may call this."""
        return self._statuses

    def run(self, stopped: Event) -> None:
        """Score until the event is set, or all cameras have ended."""
        while not stopped.is_set() and not all(camera.ended for camera in self._cameras):
            arrived = [(camera, camera.take()) for camera in self._cameras]
            if not any(pictures for _, pictures in arrived):
                stopped.wait(IDLE_SECONDS)
            for scorer in dict.fromkeys(camera.scorer for camera in self._cameras):
                own = [pair for pair in arrived if pair[0].scorer is scorer]
                self._score(scorer, own, stopped)
            if time.monotonic() - self._ticked >= TICK_SECONDS:
                self._ticked = time.monotonic()
                for camera in self._cameras:
                    camera.tick()
                self._statuses = [camera.status() for camera in self._cameras]

    def _score(
        self,
        scorer: LiveScorer,
        arrived: Sequence[tuple[WatchedCamera, list[Pictures]]],
        stopped: Event,
    ) -> None:
        """Score the pictures of the cameras of one checkpoint, the earliest of each first."""
        waiting = iter(_in_turn(arrived))
        while not stopped.is_set() and (batch := list(islice(waiting, AT_ONCE))):
            scored = scorer.score_together([(camera.past, each) for camera, each in batch])
            for (camera, _), pictures in zip(batch, scored, strict=True):
                camera.add(pictures)


def _in_turn(
    arrived: Sequence[tuple[WatchedCamera, list[Pictures]]],
) -> Iterator[tuple[WatchedCamera, Pictures]]:
    """Yield the first pictures of all cameras, then the second ones."""
    longest = max((len(pictures) for _, pictures in arrived), default=0)
    for place in range(longest):
        for camera, pictures in arrived:
            if place < len(pictures):
                yield camera, pictures[place]


def _scorers(settings: Mapping[str, DictConfig], config: DictConfig) -> dict[str, LiveScorer]:
    """Load each checkpoint once; return the scorer of each camera."""
    changes = changes_of(config)
    changes["guard"]["scope"] = "video"  # each camera has items of its own
    loaded: dict[str, LiveScorer] = {}
    for path in dict.fromkeys(own.checkpoint for own in settings.values()):
        names = [name for name, own in settings.items() if own.checkpoint == path]
        with named_in_errors(config.cameras, names):
            loaded[path] = load(path, **changes)
        warn_without_reference(path, loaded[path].detector.reference)
    for name, own in settings.items():
        if own.standing:
            with named_in_errors(config.cameras, [name]):
                require_standing(own.checkpoint, loaded[own.checkpoint].detector.standing)
    _warn_of_few_hours(settings, loaded)
    return {name: loaded[own.checkpoint] for name, own in settings.items()}


def _warn_of_few_hours(
    settings: Mapping[str, DictConfig], loaded: Mapping[str, LiveScorer]
) -> None:
    """Warn once of cameras that share a checkpoint, and mostly promise the same."""
    promises = {
        name: (own.checkpoint, own.standing, own.alarm.false_per_hour)
        for name, own in settings.items()
    }
    for promise in dict.fromkeys(promises.values()):
        checkpoint, standing, per_hour = promise
        scorer = loaded[checkpoint]
        warn_of_few_hours(
            scorer.alarm,
            scorer.standing if standing else None,
            per_hour,
            scorer.fps or USUAL_FPS,
            [name for name, own in promises.items() if own == promise],
        )


def _require_masks(
    settings: Mapping[str, DictConfig], scorers: Mapping[str, LiveScorer], path: str
) -> None:
    """Refuse the masks that cannot be used before any camera begins."""
    for name, own in settings.items():
        with named_in_errors(path, [name]):
            ignored_places(own.ignored, scorers[name].frame_size)


@contextmanager
def _deliveries(
    settings: Mapping[str, DictConfig], path: str, spool: Path, stopped: Event
) -> Iterator[dict[str, Sequence[Delivery]]]:
    """Open each receiver once for all cameras that name it, and close them together."""
    receivers = {name: _receivers(own) for name, own in settings.items()}
    opened: dict[tuple[object, ...], Sequence[Delivery]] = {}
    spools: list[Path] = []
    try:
        for chosen in dict.fromkeys(receivers.values()):
            names = [name for name, own in receivers.items() if own == chosen]
            webhook, mqtt, command = chosen
            # The next process may have other receivers: reports that wait are for this one alone.
            own_spool = spool / hashlib.sha256(repr(chosen).encode()).hexdigest()[:12]
            with named_in_errors(path, names):
                opened[chosen] = open_deliveries(
                    webhook, mqtt, command, cameras=names, spool=own_spool
                )
            spools.append(own_spool)
        _warn_of_other_receivers(spool, spools)
        yield {name: opened[chosen] for name, chosen in receivers.items()}
    finally:
        seconds = STOPPING_SECONDS if stopped.is_set() else CLOSING
        close_deliveries([*chain.from_iterable(opened.values())], seconds)


def _warn_of_other_receivers(spool: Path, own: Sequence[Path]) -> None:
    """Warn of notifications that wait for a receiver of an earlier process."""
    for folder in sorted(spool.glob("*/")):
        waiting = 0 if folder in own else sum(1 for _ in folder.rglob("*.json"))
        if waiting:
            log.warning(
                "%s: %d notifications wait for a receiver that no camera has any more; set its "
                "address again to send them, or remove this folder.",
                folder, waiting,
            )  # fmt: skip


def _receivers(own: DictConfig) -> tuple[str | None, str | None, tuple[str, ...] | None]:
    notify = own.notify
    webhook, mqtt = (address and true_source(address) for address in (notify.webhook, notify.mqtt))
    return webhook, mqtt, tuple(notify.command) if notify.command else None
