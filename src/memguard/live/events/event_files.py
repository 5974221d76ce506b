"""The pictures of events: a snapshot of the peak and a clip, stored for some days."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from memguard.data.video.encoded import EncodedPictures
from memguard.detection.events import Box, Moment
from memguard.files import clear_unfinished, written_whole
from memguard.live.annotate import draw_box
from memguard.live.events.clips import ClipRecorder
from memguard.live.fragmented import remove_torn_fragment
from memguard.live.reports import Kind

QUALITY = 90  # of snapshots
DAY = 24 * 3600
# Old files are looked for at each event, and once in so many seconds.
PRUNED_EVERY = 3600.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Keeping:
    """The pictures that are stored.

    Attributes:
        snapshots: Whether to write a JPEG of each event's peak.
        clip: The seconds before and after an event in its clip; None: no clips.
        days: The age at which a file is removed.
        gigabytes: The space of all files, above which the oldest are removed.
        shortest: The seconds after which the beginning of an event is known.
    """

    snapshots: bool
    clip: float | None
    days: float
    gigabytes: float
    shortest: float = 0.0


class EventFiles:
    """Write snapshots and clips into a folder, and remove old ones.

    A file that cannot be written raises nothing: the event is reported all the same, and a warning
    names the folder.

    Args:
        folder: The folder of the files, made for the first one. The folder that it is in exists.
        keeping: The files to write, and how long they stay.
        sent: The pictures as the camera sends them, which clips copy; None: clips are encoded.
    """

    def __init__(self, folder: Path, keeping: Keeping, sent: EncodedPictures | None = None) -> None:
        self._folder, self._keeping = folder.absolute(), keeping
        self._clips: ClipRecorder | None = None
        if keeping.clip is not None:
            self._clips = ClipRecorder(keeping.clip, keeping.shortest, sent)
        self._peaks: dict[Kind, tuple[np.ndarray, Box]] = {}
        self._pruned = -PRUNED_EVERY
        self._failed = False
        self._attempt(self._mend)

    def add(self, moment: Moment, rgb: np.ndarray, captured: float) -> None:
        """Add the next picture of the camera.

        Args:
            moment: Its moment.
            rgb: uint8 (3, H, W).
            captured: Its time among the pictures as sent.
        """
        if clips := self._clips:
            self._attempt(lambda: clips.add(moment.seconds, rgb, captured))
        if moment.seconds - self._pruned >= PRUNED_EVERY:
            self._pruned, self._failed = moment.seconds, False
            self._attempt(self._prune)

    def peak(self, kind: Kind, rgb: np.ndarray, box: Box) -> None:
        """Take a picture of the new peak of a kind's event for its snapshot."""
        if self._keeping.snapshots:
            self._peaks[kind] = rgb, box

    def begin(self, name: str, start: float) -> str | None:
        """Begin the clip of an event that began at this time; return its path, if there is one."""
        path = self._folder / f"{name}.mp4"
        self._attempt(self._prune)
        if (clips := self._clips) and self._attempt(self._make_folder):
            return str(path) if self._attempt(lambda: clips.begin(path, start)) else None
        return None

    def snapshot(self, kind: Kind, name: str) -> str | None:
        """Write the snapshot of an event's peak, if it is new, and return its path, if any."""
        path = self._folder / f"{name}.jpg"
        if (peak := self._peaks.get(kind)) and self._attempt(self._make_folder):
            self._attempt(lambda: _draw(path, *peak))
            del self._peaks[kind]
        return str(path) if path.exists() else None

    def end(self, seconds: float, paths: Sequence[str]) -> list[str]:
        """End the clip of an event.

        Args:
            seconds: The time at which the event ended.
            paths: Its clips.

        Returns:
            Those of its clips that are on disk or being written.
        """
        writing: Path | None = None
        if clips := self._clips:
            self._attempt(lambda: clips.end(seconds))
            writing = clips.recording
        return [path for path in paths if path == str(writing) or Path(path).exists()]

    def close(self) -> None:
        """End the clip now."""
        if self._clips:
            self._attempt(self._clips.close)

    def _make_folder(self) -> None:
        self._folder.mkdir(exist_ok=True)  # the folder of the run is there, unless it was removed

    def _mend(self) -> None:
        """Make whole or remove what an earlier process, which was killed, has not ended."""
        clear_unfinished(self._folder)
        clips = sorted(self._folder.glob("*.mp4"), key=lambda path: path.stat().st_mtime)
        if clips:
            remove_torn_fragment(clips[-1])

    def _prune(self) -> None:
        """Remove the files that are too old, and the oldest of those that need too much space."""
        if not self._folder.exists():
            return
        files = [(path, path.stat()) for path in self._folder.iterdir() if path.is_file()]
        oldest_first = sorted(files, key=lambda file: file[1].st_mtime)
        space = sum(stat.st_size for _, stat in files)
        for path, stat in oldest_first:
            old = time.time() - stat.st_mtime > self._keeping.days * DAY
            if old or space > self._keeping.gigabytes * 1e9:
                path.unlink()
                space -= stat.st_size

    def _attempt(self, write: Callable[[], None]) -> bool:
        """Write, and return whether that succeeded; warn of the first error in an hour."""
        try:
            write()
        except OSError as error:
            if not self._failed:
                log.warning(
                    "%s: a picture or clip of an event cannot be written (%s); make room on its "
                    "disk or correct its permissions.",
                    self._folder, error.strerror or error,
                )  # fmt: skip
            self._failed = True
            return False
        return True


def _draw(path: Path, rgb: np.ndarray, box: Box) -> None:
    """Write a picture with its box."""
    image = Image.fromarray(np.ascontiguousarray(rgb.transpose(1, 2, 0)))
    draw_box(image, box)
    content = BytesIO()  # Pillow does not notice that a disk has taken a part of a file alone
    image.save(content, "JPEG", quality=QUALITY)
    with written_whole(path) as unfinished:
        unfinished.write_bytes(content.getvalue())
