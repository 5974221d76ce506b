"""The notifications of a camera: where they go, and how many there may be."""

import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from memguard.live.notify.command import Command
from memguard.live.notify.delivery import CLOSING, Delivery
from memguard.live.notify.mqtt import Mqtt
from memguard.live.notify.webhook import Webhook
from memguard.live.reports import END, Kind, Report

HOUR = 3600.0


class Notifier:
    """Send the reports of a camera, unless its events are too many.

    All reports of an event are sent, or none. An event that lasts is sent as soon as the limits
    allow it.

    Args:
        deliveries: Where to send them; several cameras may share these.
        cooldown: The least seconds between the beginnings of two events of a kind.
        most_per_hour: The largest number of events in an hour.

    Attributes:
        held_back: The number of events that ended without a notification.
    """

    def __init__(
        self, deliveries: Sequence[Delivery] = (), cooldown: float = 0.0, most_per_hour: int = 1
    ) -> None:
        self._deliveries, self._cooldown = deliveries, cooldown
        self._sent: deque[float] = deque(maxlen=most_per_hour)
        self._latest: dict[Kind, float] = {}
        self.held_back = 0

    def allows(self, report: Report) -> bool:
        """Return whether the limits allow to send a report."""
        if report.notified:  # as was the one before of the same event
            return True
        if not self._deliveries:
            return False
        if report.state == END:
            self.held_back += 1
            return False
        now = time.monotonic()
        if now - self._latest.get(report.kind, -HOUR) < self._cooldown:
            return False
        if len(self._sent) == self._sent.maxlen and now - self._sent[0] < HOUR:
            return False
        self._latest[report.kind] = now
        self._sent.append(now)
        return True

    def send(self, report: Report) -> None:
        """Send a report, if it is to be; this never waits."""
        if report.notified:
            for delivery in self._deliveries:
                delivery.put(report)


def open_deliveries(
    webhook: str | None,
    mqtt: str | None,
    command: Sequence[str] | None,
    *,
    cameras: Sequence[str],
    spool: Path,
) -> list[Delivery]:
    """Open the deliveries of some cameras.

    Args:
        webhook: The web address of :class:`Webhook`.
        mqtt: The broker's address of :class:`Mqtt`.
        command: The words of :class:`Command`.
        cameras: The names of the cameras.
        spool: The folder of the reports that wait.

    Raises:
        ConfigError: A package is missing, or there is no such command.
    """
    deliveries = []
    if webhook:
        deliveries.append(Delivery(Webhook(webhook), spool / "webhook"))
    if mqtt:
        deliveries.append(Delivery(Mqtt(mqtt, cameras), spool / "mqtt"))
    if command:
        deliveries.append(Delivery(Command(command), spool / "command"))
    return deliveries


def close_deliveries(deliveries: Sequence[Delivery], seconds: float = CLOSING) -> None:
    """Close all deliveries together; what has not arrived after some seconds stays in folders."""
    until = time.monotonic() + seconds
    for delivery in deliveries:
        delivery.end(seconds)
    for delivery in deliveries:
        delivery.close(max(until - time.monotonic(), 0.0))
