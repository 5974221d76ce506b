"""The end of a process: after Ctrl-C, and beside threads that wait for cameras."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

INTERRUPTED = 128 + signal.SIGINT


@contextmanager
def loading() -> Iterator[None]:
    """End the process at once on Ctrl-C while modules load: some catch the exception it raises."""
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # a script's background jobs ignore Ctrl-C
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def quietly_interrupted() -> Iterator[None]:
    """End with status 130 after Ctrl-C, whether it arrives here or Lightning exits after it.

    Raises:
        SystemExit: Ctrl-C was pressed. Pressed again, it is ignored.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        if not any(isinstance(e, KeyboardInterrupt) for e in (error, error.__context__)):
            raise
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.exit(INTERRUPTED)


@contextmanager
def ended_beside_cameras() -> Iterator[None]:
    """End the process without Python's own end if threads still wait for cameras.

    FFmpeg cannot be interrupted everywhere, and crashes in a thread whose libraries are taken down.
    """
    status: object = None
    try:
        yield
    except SystemExit as error:
        if not _cameras_wait():
            raise
        status = error.code
    if _cameras_wait():
        if isinstance(status, str):
            print(status, file=sys.stderr)
        logging.shutdown()
        sys.stdout.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


def _cameras_wait() -> bool:
    from memguard.data.video.newest import CameraThread  # loaded by now

    return any(isinstance(thread, CameraThread) for thread in threading.enumerate())
