"""The watch over the configured cameras: by this process, or by a cluster."""

import logging
import os
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Protocol

from filelock import FileLock, Timeout
from omegaconf import DictConfig

from memguard.config.cameras import read_cameras
from memguard.config.schema import WatchSettings
from memguard.config.trainer import require_accelerator
from memguard.config.validation import validate_by
from memguard.errors import ConfigError, UserError
from memguard.live.cameras.service import service_of
from memguard.live.page.status import CameraStatus

if TYPE_CHECKING:
    from memguard.live.page.server import Place

log = logging.getLogger(__name__)


def watch(config: DictConfig) -> None:
    """Watch the configured cameras until SIGTERM or Ctrl-C, or the end of all recordings.

    Args:
        config: A configuration that ``conf/watch.yaml`` composes.

    Raises:
        UserError: The configuration, the file of cameras or a checkpoint cannot be used.
    """
    validate_by(WatchSettings, config)
    require_accelerator(config)
    logging.raiseExceptions = False  # on a full disk, each line of the log would be a traceback
    settings = read_cameras(Path(config.cameras), config)
    folder = Path(config.folder)
    with ExitStack() as stack:
        place = stack.enter_context(closing(_place(config.serve))) if config.serve else None
        stack.enter_context(_alone(folder))
        stopped = stack.enter_context(_stopped_by_signals())
        opened = (
            _shared(settings, config)
            if config.ray.address
            else service_of(settings, config, folder / "notifications", stopped)
        )
        service = stack.enter_context(opened)
        cameras = "1 camera; its" if len(settings) == 1 else f"{len(settings)} cameras; their"
        log.info("Watching %s output is in %s.", cameras, folder)
        if place:
            stack.enter_context(closing(place.serve(service.statuses, folder)))
        service.run(stopped)
    reason = "by a signal" if stopped.is_set() else "as all recordings have ended"
    log.info("Stopped %s; the state is saved.", reason)


class Watching(Protocol):
    """A watch over cameras, by this process or a cluster."""

    def statuses(self) -> Sequence[CameraStatus]:
        """Return the status of each camera, at most some seconds old; any thread may call this."""

    def run(self, stopped: Event) -> None:
        """Watch until the event is set, or all cameras have ended."""


def _shared(
    settings: Mapping[str, DictConfig], config: DictConfig
) -> AbstractContextManager[Watching]:
    """Share the cameras over a Ray cluster.

    Raises:
        ConfigError: Ray is not installed.
    """
    try:
        from memguard.live.cameras.cluster import shared
    except ImportError as error:
        raise ConfigError(
            f"ray.address={config.ray.address} needs Ray ({error}): pip install "
            "memguard-vad[cluster], or leave ray.address out."
        ) from None
    return shared(list(settings), config)


def _place(address: str) -> "Place":
    """Take the place of the live page.

    Raises:
        ConfigError: The extra ``watch`` is not installed, or the address cannot be served.
    """
    try:
        from memguard.live.page.server import TOKEN_VARIABLE, place_at
    except ImportError as error:
        raise ConfigError(
            f"serve={address} needs the extra watch ({error}): pip install memguard-vad[watch], or "
            "leave serve out."
        ) from None
    return place_at(address, os.environ.get(TOKEN_VARIABLE))


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse a folder that another process watches in; a refused watch leaves nothing in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / "watch.lock"
        is_new = not lock.exists()
        with FileLock(lock, timeout=0):
            try:
                yield
            except UserError:
                if is_new:
                    _remove_what_is_empty(folder)
                    lock.unlink(missing_ok=True)
                raise
    except Timeout:
        raise ConfigError(
            f"{folder}: another memguard.watch writes here; stop it, or set folder=… to another "
            "folder."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{folder}: this folder cannot be written ({error.strerror}); set folder=… to another."
        ) from None


def _remove_what_is_empty(folder: Path) -> None:
    """Remove the folders without files that a refused watch has made."""
    for path in sorted(folder.rglob("*"), reverse=True):  # those within others first
        if path.is_dir():
            with suppress(OSError):
                path.rmdir()


@contextmanager
def _stopped_by_signals() -> Iterator[Event]:
    """Yield an event that SIGTERM and Ctrl-C set; a second signal ends the process at once."""
    stopped = Event()

    def stop(number: int, _frame: object) -> None:
        if stopped.is_set():
            os._exit(128 + number)
        stopped.set()

    numbers = signal.SIGTERM, signal.SIGINT
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield stopped
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
