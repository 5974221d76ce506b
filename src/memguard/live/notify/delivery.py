"""Deliver reports in a thread of their own, again until they arrive."""

import logging
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from math import inf
from pathlib import Path
from queue import Empty, Full, Queue
from threading import Thread
from typing import NamedTuple, Protocol

from memguard.files import written_whole
from memguard.live.reports import Report

# Where so many reports wait, the oldest makes room for a new one.
WAITING = 1000
CLOSING = 5.0  # seconds for what waits at the end
# Seconds before the next attempt, longer after each failure.
PAUSES = (1, 2, 4, 8, 16, 32, 60)
TIMEOUT = 10.0  # of an attempt, seconds

log = logging.getLogger(__name__)


class NotDeliveredError(Exception):
    """A report did not arrive, and may arrive later."""


class RefusedError(Exception):
    """A report was refused, and would be again."""


class Channel(Protocol):
    """A way of notification, used by one thread."""

    @property
    def name(self) -> str:
        """The name in messages, without passwords and keys."""
        ...

    def send(self, report: Report) -> None:
        """Send a report, within some seconds.

        Raises:
            NotDeliveredError: It did not arrive.
            RefusedError: It was refused.
        """
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class _Letter(NamedTuple):
    report: Report
    path: Path


class Delivery:
    """Deliver reports by a channel, in order, in a thread of its own.

    Reports wait in a folder until they have arrived, through restarts of the process.

    Args:
        channel: The way of notification. The delivery closes it.
        spool: The folder of the reports that wait.

    Attributes:
        lost: The number of reports that were refused, or for which there was no room.
    """

    def __init__(self, channel: Channel, spool: Path) -> None:
        self._channel, self._spool = channel, spool
        self._queue: Queue[Report | None] = Queue(WAITING)
        self._waiting: deque[_Letter] = deque()
        self._failures, self._due = 0, 0.0
        self._number = 0
        self._until = inf
        self.lost = 0
        self._thread = Thread(target=self._run, name=f"notify {channel.name}", daemon=True)
        self._thread.start()

    def put(self, report: Report) -> None:
        """Take a report; this never waits."""
        try:
            self._queue.put_nowait(report)
        except Full:
            self._lose(report, "too many wait")

    def end(self, seconds: float) -> None:
        """Deliver what waits, for some seconds at most; this does not wait for them."""
        self._until = time.monotonic() + seconds
        with suppress(Full):
            self._queue.put_nowait(None)  # wakes the thread

    def close(self, seconds: float = CLOSING) -> None:
        """Deliver what waits, for some seconds at most; the rest stays in the folder."""
        self.end(seconds)
        self._thread.join(seconds)
        with suppress(OSError):  # unless reports are in it
            self._spool.rmdir()
        if self._waiting:
            log.warning(
                "%s: %d notifications have not arrived; they wait in %s.",
                self._channel.name, len(self._waiting), self._spool,
            )  # fmt: skip

    def _run(self) -> None:
        self._waiting.extend(self._spooled())
        while not self._is_over():
            self._take()
            if self._waiting and time.monotonic() >= self._due:
                self._attempt(self._waiting[0])
        self._channel.close()

    def _is_over(self) -> bool:
        """Return whether the delivery is closed, and nothing more can be done."""
        if self._until == inf or not self._queue.empty():
            return False
        return not self._waiting or self._failures > 0 or time.monotonic() > self._until

    def _take(self) -> None:
        """Store new reports; wait for one until the next attempt is due."""
        pause = max(self._due - time.monotonic(), 0.0) if self._waiting else None
        with suppress(Empty):
            while True:
                if report := self._queue.get(timeout=pause):
                    self._waiting.append(self._stored(report))
                pause = 0.0
                if len(self._waiting) > WAITING:
                    self._lose(self._forget_oldest(), "too many wait")

    def _attempt(self, letter: _Letter) -> None:
        """Send the oldest report."""
        try:
            self._channel.send(letter.report)
        except NotDeliveredError as error:
            if self._failures == 0:
                log.warning(
                    "%s: a notification did not arrive (%s); it is sent again until it does.",
                    self._channel.name, error,
                )  # fmt: skip
            self._due = time.monotonic() + PAUSES[min(self._failures, len(PAUSES) - 1)]
            self._failures += 1
            return
        except RefusedError as error:
            self._lose(letter.report, str(error))
        except Exception as error:  # the message may hold an address with its password
            self._lose(letter.report, type(error).__name__)
        if self._failures:
            log.warning("%s: notifications arrive again.", self._channel.name)
        self._failures = 0
        self._forget_oldest()

    def _lose(self, report: Report, reason: str) -> None:
        self.lost += 1
        log.warning(
            "%s: the notification of %s is lost (%s); its report is in events.jsonl.",
            self._channel.name, report.id, reason,
        )  # fmt: skip

    def _stored(self, report: Report) -> _Letter:
        """Store a report in the folder; on a full disk it waits in memory alone."""
        self._number = max(time.time_ns(), self._number + 1)  # in order, though a clock is set back
        path = self._spool / f"{self._number:020d}.json"
        with suppress(OSError), written_whole(path) as unfinished:
            unfinished.write_text(report.model_dump_json(), encoding="utf-8")
        return _Letter(report, path)

    def _forget_oldest(self) -> Report:
        letter = self._waiting.popleft()
        with suppress(OSError):
            letter.path.unlink()
        return letter.report

    def _spooled(self) -> Iterator[_Letter]:
        """Read the reports of an earlier process."""
        for path in sorted(self._spool.glob("*.json")):
            try:
                self._number = max(self._number, int(path.stem))
                yield _Letter(Report.model_validate_json(path.read_bytes()), path)
            except (OSError, ValueError):
                log.warning("%s: this notification is damaged and is not sent.", path)
