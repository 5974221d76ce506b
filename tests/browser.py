"""A headless Chromium, driven through its DevTools protocol."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
import websocket

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--remote-debugging-port=0",
    "--remote-allow-origins=*",
]  # fmt: skip


class Page:
    """A page; it records warnings, errors and network requests."""

    def __init__(self, address: str) -> None:
        self._socket = websocket.create_connection(address, timeout=60)
        self._sent = 0
        self._seen: list[dict[str, Any]] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._sent += 1
        self._socket.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv())
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return message["result"]
            self._seen.append(message)

    def open(self, page: Path | str, width: int, height: int = 900) -> None:
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        self._go_to("about:blank")  # else the last page's requests would be this one's
        self._go_to(page.as_uri() if isinstance(page, Path) else page)

    def _go_to(self, address: str) -> None:
        self._seen.clear()
        self.call("Page.navigate", url=address)
        while not any(message.get("method") == "Page.loadEventFired" for message in self._seen):
            self._seen.append(json.loads(self._socket.recv()))

    def run(self, javascript: str) -> Any:
        done = self.call("Runtime.evaluate", expression=javascript, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    def point_at(self, x: float, y: float) -> None:
        self.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def picture(self, path: Path, whole: bool = False) -> None:
        taken = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(taken["data"]))

    @property
    def complaints(self) -> list[dict[str, Any]]:
        """Exceptions, and warnings and errors of the console."""
        self.run("0")  # by its answer, all earlier events have arrived
        bad = ("Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded")
        return [message for message in self._seen if message.get("method") in bad]

    @property
    def requests(self) -> list[str]:
        """The addresses that it requested, without those within the file."""
        sent = [m for m in self._seen if m.get("method") == "Network.requestWillBeSent"]
        addresses = [message["params"]["request"]["url"] for message in sent]
        return [address for address in addresses if not address.startswith("data:")]


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """A page of a browser with an empty profile; it is stopped at the end."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium: install Debian's package chromium")
    profile = tmp_path_factory.mktemp("profile")
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        active = profile / "DevToolsActivePort"
        deadline = time.monotonic() + 60
        while not (active.exists() and active.read_text().count("\n")):
            assert time.monotonic() < deadline, "Chromium does not start"
            time.sleep(0.1)
        port = active.read_text().split()[0]
        with urlopen(f"http://127.0.0.1:{port}/json") as answer:
            pages = [target for target in json.load(answer) if target["type"] == "page"]
        yield Page(pages[0]["webSocketDebuggerUrl"])
    finally:
        process.terminate()
        process.wait(timeout=30)
