"""Ctrl-C: an interrupted command ends without a traceback, with the exit status of shells."""

import os
import signal
import sys
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
