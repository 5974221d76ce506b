"""The live page is served where that is safe, and stops."""

import socket
import threading
from pathlib import Path
from urllib.request import urlopen

import pytest

from memguard.errors import ConfigError
from memguard.live.page.server import place_at
from tests.live.page.scene import TOKEN


@pytest.mark.parametrize(
    ("address", "token", "reason"),
    [
        ("0.0.0.0:0", None, "MEMGUARD_WATCH_TOKEN"),
        ("192.0.2.1:8090", None, "MEMGUARD_WATCH_TOKEN"),
        ("[::]:8090", None, "MEMGUARD_WATCH_TOKEN"),
        ("camera-server:8090", None, "MEMGUARD_WATCH_TOKEN"),
        ("127.0.0.1:0", "short", "has 5 characters"),
        ("192.0.2.1:8090", TOKEN, "cannot be served there"),
        ("127.0.0.1", None, "is no address"),
        ("127.0.0.1:port", None, "is no address"),
        ("http://127.0.0.1:8090", None, "is no address"),
        ("user@127.0.0.1:8090", None, "is no address"),
        ("127.0.0.1:99999", None, "is no address"),
        ("::1:8090", None, "is no address"),
    ],
)
def test_an_address_that_cannot_be_served_is_refused(
    address: str, token: str | None, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason) as refused:
        place_at(address, token)
    assert str(refused.value).startswith((f"serve={address}", "MEMGUARD_WATCH_TOKEN has"))


def test_a_port_that_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match="choose a free port"):
            place_at(f"127.0.0.1:{port}", None)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "localhost:0", "[::1]:0"])
def test_it_answers_until_it_is_closed(address: str, tmp_path: Path) -> None:
    server = place_at(address, None).serve(lambda: [], tmp_path)
    with urlopen(f"{server.url}/api/cameras") as answer:
        assert answer.read() == b"[]"
    server.close()
    assert "live page" not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(OSError, match="refused"):
        urlopen(f"{server.url}/api/cameras")


def test_it_closes_while_a_browser_holds_a_connection(tmp_path: Path) -> None:
    server = place_at("127.0.0.1:0", None).serve(lambda: [], tmp_path)
    with socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2]))) as browser:
        browser.sendall(b"GET / HTTP/1.1\r\n")
        server.close()
    assert "live page" not in {thread.name for thread in threading.enumerate()}
