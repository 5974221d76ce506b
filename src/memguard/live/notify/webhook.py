"""Notifications by webhook: a signed POST of JSON."""

import hashlib
import hmac
import os
from base64 import b64encode
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from memguard.data.video.addresses import encoded, shown
from memguard.live.notify.delivery import TIMEOUT, NotDeliveredError, RefusedError
from memguard.live.reports import Report

SECRET = "MEMGUARD_WEBHOOK_SECRET"
SIGNATURE = "X-Memguard-Signature"

# Answers of a receiver that may take the report later; other errors of the sender are for ever.
LATER = frozenset({408, 425, 429})


class Webhook:
    """Send reports to a web address.

    The body is the line of ``events.jsonl``. With a secret, the header ``X-Memguard-Signature`` is
    ``sha256=`` and the HMAC of the body, in hexadecimal digits.

    Args:
        url: The address; user and password are sent as HTTP authentication.
        secret: The secret; None takes the environment variable ``MEMGUARD_WEBHOOK_SECRET``, if set.
    """

    def __init__(self, url: str, secret: str | None = None) -> None:
        self.name = shown(url)
        self._headers = {"Content-Type": "application/json", "User-Agent": "memguard"}
        parts = urlsplit(encoded(url))
        if parts.username is not None:
            access = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._headers["Authorization"] = f"Basic {b64encode(access.encode()).decode()}"
        self._url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self._secret = (os.environ.get(SECRET, "") if secret is None else secret).encode()
        self._opener = build_opener(_NoRedirect)

    def send(self, report: Report) -> None:
        """Send a report.

        Raises:
            NotDeliveredError: The address cannot be reached, or answers that it is out of order.
            RefusedError: The address refuses the report.
        """
        body = report.model_dump_json().encode()
        headers = self._headers | (
            {SIGNATURE: signature(body, self._secret)} if self._secret else {}
        )
        try:
            self._opener.open(Request(self._url, body, headers), timeout=TIMEOUT).close()
        except HTTPError as error:
            error.close()
            again = error.code >= 500 or error.code in LATER
            kind = NotDeliveredError if again else RefusedError
            raise kind(f"the answer is {error.code}") from None
        except (OSError, HTTPException) as error:
            cause = getattr(error, "reason", error)  # the error itself may name the whole address
            reason = getattr(cause, "strerror", None) or type(cause).__name__
            raise NotDeliveredError(reason) from None

    def close(self) -> None:
        """Do nothing: each report has a connection of its own."""


class _NoRedirect(HTTPRedirectHandler):
    """Refuse redirects: the report is for the configured address alone."""

    def redirect_request(self, *_: Any) -> None:
        """Follow none."""


def signature(body: bytes, secret: bytes) -> str:
    """Sign a body.

    Example:
        >>> signature(b"{}", b"key")[:14]
        'sha256=a777724'
    """
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"
