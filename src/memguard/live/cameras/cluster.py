"""Cameras shared over a Ray cluster: each node watches some, and another one if it fails."""

import logging
import os
import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event
from typing import Any

import ray
from omegaconf import DictConfig, OmegaConf
from ray.exceptions import GetTimeoutError, RayActorError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from memguard.config.cameras import read_cameras
from memguard.data.video.addresses import VARIABLE
from memguard.errors import ConfigError, UserError
from memguard.live.cameras.service import Service, service_of
from memguard.live.page.status import CameraStatus, awaited

# Seconds between two looks at the parts, and to wait for their answers and their end.
LOOK_SECONDS, ANSWER_SECONDS, END_SECONDS = 1.0, 5.0, 10.0

CONNECT_SECONDS = 10.0

log = logging.getLogger(__name__)


class Part:
    """The cameras of one node, an actor of Ray's.

    Args:
        number: Of the part; its notifications have a folder of their own.
    """

    def __init__(self, number: int) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        self._number = number
        self._stopped = Event()
        self._service: Service | None = None

    def run(self, names: Sequence[str], command: Mapping[str, Any], sources: str) -> None:
        """Watch cameras until :meth:`stop`, or until all have ended.

        Ray calls this again where a failed actor begins again, and the cameras continue from their
        state files.

        Args:
            names: Of the cameras.
            command: The command's configuration, resolved.
            sources: The addresses put aside for it; arguments of a method are written nowhere.
        """
        os.environ[VARIABLE] = sources
        config = OmegaConf.create(dict(command))
        assert isinstance(config, DictConfig)
        cameras = read_cameras(Path(config.cameras), config)
        spool = Path(config.folder) / "notifications" / f"part{self._number}"
        own = {name: cameras[name] for name in names}
        with service_of(own, config, spool, self._stopped) as service:
            self._service = service
            service.run(self._stopped)

    def statuses(self) -> Sequence[CameraStatus]:
        """Return the status of each camera; none before the detector is loaded."""
        return self._service.statuses() if self._service else []

    def stop(self) -> None:
        """End soon."""
        self._stopped.set()


class Cluster:
    """Watch cameras by the nodes of a cluster, a part of them each.

    Args:
        names: Of the cameras.
        config: The command's configuration.
    """

    def __init__(self, names: Sequence[str], config: DictConfig) -> None:
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]][: len(names)]
        self._parts = [_part_on(node, number) for number, node in enumerate(nodes)]
        command = OmegaConf.to_container(config, resolve=True)
        sources = os.environ.get(VARIABLE, "{}")
        self._runs = [
            part.run.remote(names[number :: len(nodes)], command, sources)
            for number, part in enumerate(self._parts)
        ]
        self._statuses = {name: awaited(name) for name in names}
        log.info("%d nodes of the cluster share the cameras.", len(nodes))

    def statuses(self) -> Sequence[CameraStatus]:
        """Return the last known status of each camera."""
        return list(self._statuses.values())

    def run(self, stopped: Event) -> None:
        """Watch until the event is set, or all cameras have ended.

        Raises:
            UserError: A part cannot use its cameras' settings or checkpoints.
        """
        running = list(self._runs)
        while running and not stopped.is_set():
            ended, running = ray.wait(running, timeout=LOOK_SECONDS)
            _raise_errors(ended)
            self._look()
        for part in self._parts:
            part.stop.remote()
        ended, _ = ray.wait(running, num_returns=len(running), timeout=END_SECONDS)
        _raise_errors(ended)

    def _look(self) -> None:
        """Ask the parts for the status of their cameras; one that begins again does not answer."""
        answers = [part.statuses.options(max_task_retries=0).remote() for part in self._parts]
        for answer in answers:
            with suppress(GetTimeoutError, RayActorError):
                statuses = ray.get(answer, timeout=ANSWER_SECONDS)
                self._statuses.update({status.name: status for status in statuses})


def _part_on(node: str, number: int) -> Any:
    """Begin a part on its node; it moves to another one where that node fails."""
    actor = ray.remote(Part).options(
        # Hardly any, so that a part finds room on the nodes that are left. Ray puts an actor that
        # asks for nothing on a random node, whatever its affinity.
        num_cpus=0.001,
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=3,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=True),
    )
    return actor.remote(number)


def _raise_errors(ended: Sequence[Any]) -> None:
    try:
        ray.get(list(ended))
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        raise


@contextmanager
def shared(names: Sequence[str], config: DictConfig) -> Iterator[Cluster]:
    """Connect to a cluster for as long as it watches.

    Args:
        names: Of the cameras.
        config: The command's configuration; every node reads the same file of cameras, has its
            checkpoints and environment variables, and writes to the same folder.

    Raises:
        ConfigError: There is no such cluster.
    """
    config = config.copy()
    config.cameras, config.folder = (str(Path(config[k]).absolute()) for k in ("cameras", "folder"))
    handler = signal.getsignal(signal.SIGTERM)  # Ray sets its own
    try:
        _require_listener(config.ray.address)
        ray.init(address=config.ray.address, logging_level=logging.WARNING)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"ray.address={config.ray.address}: there is no cluster ({_first_line(error)}); start "
            "one by ray start --head, or leave ray.address out."
        ) from None
    signal.signal(signal.SIGTERM, handler)
    try:
        yield Cluster(names, config)
    finally:
        ray.shutdown()


def _require_listener(address: str) -> None:
    """Require that HOST:PORT accepts connections; Ray would wait for minutes.

    Raises:
        OSError: Nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        with socket.create_connection((host, int(port)), CONNECT_SECONDS):
            pass


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")
