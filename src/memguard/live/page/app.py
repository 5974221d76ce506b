"""The live page and what it is made of: cameras, events, pictures, scores, metrics and health."""

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic_core import to_json
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from memguard import report
from memguard.live.page.access import guard_of
from memguard.live.page.metrics import CONTENT_TYPE, metrics
from memguard.live.page.records import events_of, minutes_of, recent_events, recent_minutes
from memguard.live.page.status import CameraStatus
from memguard.live.reports import END, Report

TEMPLATE = Path(__file__).parent / "template"
COLOURS = Path(report.__file__).parent / "template" / "colours.css"
SHOWN_EVENTS = 60
DAY = timedelta(hours=24)
# The shortest timeline of a camera that has just begun.
LEAST = timedelta(minutes=10)
# A camera whose status is older is not served any more.
LATE = timedelta(minutes=1)
PICTURE = re.compile(r"[\w.-]+\.(?:jpg|mp4)", re.ASCII)

Day = tuple[datetime, datetime]
Statuses = Callable[[], Sequence[CameraStatus]]


def live_app(statuses: Statuses, folder: Path, token: str | None, host: str) -> Starlette:
    """Make the application.

    Args:
        statuses: Returns the status of each camera; it is called from other threads.
        folder: The folder with a folder of each camera.
        token: The token that each request needs; None: requests need a name of this machine.
        host: The address that is served.
    """
    return Starlette(routes=LivePage(statuses, folder).routes(), middleware=[guard_of(token, host)])


class LivePage:
    """Answer the requests of the live page.

    Args:
        statuses: Returns the status of each camera.
        folder: The folder with a folder of each camera.
    """

    def __init__(self, statuses: Statuses, folder: Path) -> None:
        self._statuses, self._folder = statuses, folder

    def routes(self) -> list[Route]:
        """Return the addresses, each with its answer."""
        return [
            Route("/", lambda _: FileResponse(TEMPLATE / "page.html")),
            Route("/colours.css", lambda _: FileResponse(COLOURS)),
            Route("/page.css", lambda _: FileResponse(TEMPLATE / "page.css")),
            Route("/page.js", lambda _: FileResponse(TEMPLATE / "page.js")),
            Route("/api/cameras", self.cameras),
            Route("/api/events", self.events),
            Route("/api/timeline", self.timeline),
            Route("/events/{camera}/{name}", self.picture),
            Route("/metrics", self.metrics),
            Route("/health", self.health),
        ]

    def cameras(self, request: Request) -> Response:
        """Return the status of each camera."""
        return _json(self._statuses())

    def events(self, request: Request) -> Response:
        """Return events of a camera or of all, the latest first.

        They are those of a day, or the latest and those that last.
        """
        only, day = request.query_params.get("camera"), _day(request)
        cameras = [self._known(only)] if only else [status.name for status in self._statuses()]
        events = [event for camera in cameras for event in self._events(camera, day)]
        events.sort(key=_order, reverse=True)
        lasting = [event for event in events[SHOWN_EVENTS:] if day or event.state != END]
        return _json([self._described(event) for event in events[:SHOWN_EVENTS] + lasting])

    def timeline(self, request: Request) -> Response:
        """Return the scores of a camera, a row a minute, and its events.

        They are those of a day, or of the last 24 hours, less if the camera began later.
        """
        camera, day = self._known(request.query_params.get("camera", "")), _day(request)
        path = self._folder / camera / "scores_minutes.csv"
        events = self._events(camera, day)
        if day:
            since, until = day
            rows = minutes_of(path, since)
        else:
            until = datetime.now(timezone.utc)
            rows = recent_minutes(path)
            starts = [event.start_time for event in events if event.start_time]
            began = min([until - LEAST, *starts, *(row.time for row in rows[:1])])
            since = max(until - DAY, began)
        spans = [
            {"kind": event.kind, "start": event.start_time, "end": _end(event)}
            for event in events
            if event.start_time and (_end(event) or until) >= since
        ]
        minutes = [
            (int(row.time.timestamp()), round(row.highest, 3), round(row.median, 3))
            for row in rows
            if since <= row.time < until
        ]
        return _json({"since": since, "until": until, "minutes": minutes, "events": spans})

    def picture(self, request: Request) -> Response:
        """Return a snapshot or a clip; no other file."""
        camera = self._known(request.path_params["camera"])
        path = self._picture(camera, request.path_params["name"])
        if path is None:
            raise HTTPException(404, "This picture is not there; old ones are removed.")
        return FileResponse(path)

    def metrics(self, request: Request) -> Response:
        """Return the metrics for Prometheus."""
        return Response(metrics(self._statuses()), media_type=CONTENT_TYPE)

    def health(self, request: Request) -> Response:
        """Return 200 while each status is at most a minute old, else 503, and the old ones."""
        now = datetime.now(timezone.utc)
        late = [camera.name for camera in self._statuses() if now - camera.refreshed > LATE]
        return _json({"healthy": not late, "late": late}, status_code=503 if late else 200)

    def _known(self, camera: str) -> str:
        if camera not in {status.name for status in self._statuses()}:
            raise HTTPException(404, "There is no camera of this name.")
        return camera

    def _events(self, camera: str, day: Day | None) -> list[Report]:
        """Return the recent events of a camera, or those of a day."""
        path = self._folder / camera / "events.jsonl"
        if day is None:
            return recent_events(path)
        since, until = day
        return [
            event
            for event in events_of(path, since)
            if event.start_time and event.start_time < until and (_end(event) or until) >= since
        ]

    def _described(self, event: Report) -> dict[str, Any]:
        """Describe an event, with addresses of the pictures that are still there."""
        more = [self._address(event.camera, clip) for clip in event.more_clips]
        return event.model_dump() | {
            "snapshot": self._address(event.camera, event.snapshot),
            "clip": self._address(event.camera, event.clip),
            "more_clips": [address for address in more if address],
        }

    def _address(self, camera: str, path: str | None) -> str | None:
        name = Path(path).name if path else ""
        there = self._picture(camera, name)
        return f"/events/{quote(camera, safe='')}/{quote(name)}" if there else None

    def _picture(self, camera: str, name: str) -> Path | None:
        """Return the path of a picture, unless a link leads out of the camera's folder."""
        folder = self._folder / camera / "events"
        path = folder / name
        if not PICTURE.fullmatch(name) or not path.is_file():
            return None
        return path if path.resolve().parent == folder.resolve() else None


def _day(request: Request) -> Day | None:
    """Return the beginning and the end of the requested day, in the local time of this machine."""
    text = request.query_params.get("day")
    if not text:
        return None
    try:
        begins = datetime.strptime(text, "%Y-%m-%d")
        return begins.astimezone(), (begins + DAY).astimezone()
    except (ValueError, OverflowError, OSError):
        raise HTTPException(400, "Write a day as 2026-01-31.") from None


def _end(event: Report) -> datetime | None:
    """Return the time at which an event ended; None while it lasts."""
    return event.end_time if event.state == END else None


def _order(event: Report) -> tuple[float, float]:
    return event.start_time.timestamp() if event.start_time else 0.0, event.start_seconds


def _json(content: Any, status_code: int = 200) -> Response:
    """Answer with JSON; a number that is not finite is null."""
    body = to_json(content, inf_nan_mode="null")
    return Response(body, status_code, media_type="application/json")
