"""Who is at work in a folder: a lock that the system lets go of when a process ends."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def shared_lock(directory: Path, alone: Callable[[], None]) -> Iterator[None]:
    """Hold a lock on a folder beside others; ``alone`` is called first if nobody else holds one.

    Without such locks, as on Windows and some network drives, it is never called.
    """
    try:
        import fcntl

        folder = os.open(directory, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone()
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_SH)
        yield
    finally:
        os.close(folder)
