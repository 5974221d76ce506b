"""Serve the live page in a thread."""

import socket
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import NamedTuple
from urllib.parse import urlsplit

import uvicorn

from memguard.errors import ConfigError
from memguard.live.page.app import Statuses, live_app

TOKEN_VARIABLE = "MEMGUARD_WATCH_TOKEN"
SHORTEST_TOKEN = 16
CONNECTIONS = 100
CLOSING = 2  # seconds until open connections are cut
# The page loads nothing from elsewhere, and no other page may show it or read from it.
HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
                                "form-action 'self'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]  # fmt: skip


class Server:
    """A server in a thread of its own.

    Args:
        server: The server.
        listener: The socket that it listens to.
        url: Its address.

    Attributes:
        url: The address of the page.
    """

    def __init__(self, server: uvicorn.Server, listener: socket.socket, url: str) -> None:
        self.url = url
        self._server = server
        self._thread = Thread(
            target=server.run, args=([listener],), name="live page", daemon=True
        )  # fmt: skip
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self._server.should_exit = True
        self._thread.join(timeout=2 * CLOSING)


class Place(NamedTuple):
    """A place at which the live page is served.

    Attributes:
        listener: The socket that its requests come to; they wait until it is served.
        host: The host of its address, with the brackets of IPv6.
        token: The token that each request needs; None: none.
    """

    listener: socket.socket
    host: str
    token: str | None

    def serve(self, statuses: Statuses, folder: Path) -> Server:
        """Serve the live page until the server is closed.

        Args:
            statuses: Returns the status of each camera; it is called from other threads.
            folder: The folder with a folder of each camera: ``events.jsonl``, ``events/`` and
                ``scores_minutes.csv``.
        """
        config = uvicorn.Config(
            live_app(statuses, folder, self.token, self.host),
            lifespan="off", ws="none", log_config=None, log_level="warning", access_log=False,
            limit_concurrency=CONNECTIONS, timeout_graceful_shutdown=CLOSING,
            server_header=False, headers=HEADERS,
        )  # fmt: skip
        url = f"http://{self.host}:{self.listener.getsockname()[1]}"
        return Server(uvicorn.Server(config), self.listener, url)

    def close(self) -> None:
        """Leave the place."""
        self.listener.close()


def place_at(address: str, token: str | None) -> Place:
    """Take a place for the live page.

    Args:
        address: The address and port, such as ``127.0.0.1:8090`` or ``[::1]:8090``; port 0 is a
            free one.
        token: The token that each request needs. None is allowed on a loopback address alone.

    Raises:
        ConfigError: The address is none, or is taken, or needs a token.
    """
    host, port = _host_and_port(address)
    if token is not None and len(token) < SHORTEST_TOKEN:
        raise ConfigError(
            f"{TOKEN_VARIABLE} has {len(token)} characters; set it to {SHORTEST_TOKEN} or more, "
            "such as those that `openssl rand -hex 16` prints."
        )
    if token is None and not _is_loopback(host):
        raise ConfigError(
            f"serve={address} can be reached from other machines: set the environment variable "
            f"{TOKEN_VARIABLE} to a token for the live page, or serve=127.0.0.1:{port}."
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigError(
            f"serve={address}: the live page cannot be served there ({error.strerror}); stop what "
            "serves there, or choose a free port of an address of this machine."
        ) from error
    return Place(listener, f"[{host}]" if ":" in host else host, token)


def _host_and_port(address: str) -> tuple[str, int]:
    """Split an address.

    Example:
        >>> _host_and_port("[::1]:8090")
        ('::1', 8090)
    """
    try:
        parts = urlsplit(f"//{address}")
        bare = parts.netloc == address and parts.username is None
        if bare and parts.hostname and parts.port is not None:
            return parts.hostname, parts.port
    except ValueError:
        pass
    raise ConfigError(
        f"serve={address} is no address and port; write them as in serve=127.0.0.1:8090."
    )


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
