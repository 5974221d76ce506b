"""A clip of the pictures that a camera has encoded, without another encoding."""

from pathlib import Path

from memguard.data.video.encoded import EncodedPictures, Place
from memguard.live.fragmented import CopiedVideo


class CopiedClip:
    """Copy the encoded pictures of a camera into a file, from a key frame on.

    Args:
        path: The file.
        sent: The pictures.
        place: The place of the key frame.

    Raises:
        OSError: The disk has no room for it.
    """

    def __init__(self, path: Path, sent: EncodedPictures, place: Place) -> None:
        self._sent, self._place = sent, place
        self._video = CopiedVideo(path, place.format)

    def write(self, until: float | None) -> bool:
        """Write the pictures that have come, and return whether they are the last ones.

        Args:
            until: The time of the last one; None: the event lasts.

        Raises:
            OSError: They cannot be written.
        """
        taken = self._sent.since(self._place)
        if taken is None:  # a new connection, or another size
            return True
        pictures, self._place = taken
        for each in pictures:
            if until is not None and each.seconds > until:
                return True
            self._video.add(each)
        return False

    def close(self) -> None:
        """End the file."""
        self._video.close()
