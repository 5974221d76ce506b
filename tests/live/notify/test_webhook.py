"""Webhooks are signed posts to a real server."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from memguard.live.notify import webhook as webhook_module
from memguard.live.notify.delivery import NotDeliveredError, RefusedError
from memguard.live.notify.webhook import SECRET, Webhook
from tests.live.notify.conftest import report


class Receiver(ThreadingHTTPServer):
    """A server that answers with a status, and stores what came."""

    daemon_threads = True

    def __init__(self) -> None:
        self.status, self.came = 200, list[tuple[dict[str, str], bytes]]()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append((dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}/hook"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_report_is_posted_signed_by_the_secret_of_the_environment(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SECRET, "s3cret")
    Webhook(f"http://ann:p%40ss@{receiver.address}").send(report(7))
    ((headers, body),) = receiver.came
    assert json.loads(body)["id"] == "door-7"
    assert headers["Content-Type"] == "application/json"
    assert headers["Authorization"] == "Basic YW5uOnBAc3M="  # ann:p@ss
    signed = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
    assert headers["X-Memguard-Signature"] == f"sha256={signed}"


def test_without_a_secret_nothing_is_signed(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECRET, raising=False)
    Webhook(f"http://{receiver.address}").send(report())
    assert "X-Memguard-Signature" not in receiver.came[0][0]
    assert "Authorization" not in receiver.came[0][0]


@pytest.mark.parametrize(
    ("status", "error"),
    [(500, NotDeliveredError), (503, NotDeliveredError), (429, NotDeliveredError),
     (404, RefusedError), (401, RefusedError), (302, RefusedError), (307, RefusedError)],
)  # fmt: skip
def test_an_answer_decides_whether_a_report_is_sent_again(
    receiver: Receiver, status: int, error: type[Exception]
) -> None:
    receiver.status = status
    with pytest.raises(error, match=f"^the answer is {status}$"):
        Webhook(f"http://{receiver.address}").send(report())
    assert len(receiver.came) == 1  # no redirect is followed


def test_a_receiver_that_is_off_or_silent_is_tried_again(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = receiver.address
    receiver.shutdown()  # it accepts connections, and answers none
    monkeypatch.setattr(webhook_module, "TIMEOUT", 0.2)
    with pytest.raises(NotDeliveredError):
        Webhook(f"http://{address}").send(report())
    receiver.server_close()
    with pytest.raises(NotDeliveredError, match=r"^Connection refused$"):
        Webhook(f"http://ann:secret@{address}").send(report())
    with pytest.raises(NotDeliveredError, match="not known"):
        Webhook("http://ann:secret@nowhere.invalid/x").send(report())


def test_the_name_has_no_key() -> None:
    hook = Webhook("https://ann:secret@door/services/T0123456789ab?token=abc")
    assert hook.name == "https://***@door/services/***?***"
