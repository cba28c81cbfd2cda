"""Locks that go with the process that holds them (flock(2))."""

from __future__ import annotations

import fcntl
import time

TRIES = 5  # 0.1 s: who only looks whether somebody has a lock lets go of it at once


def locked(fd: int, mode: int, tries: int = TRIES) -> bool:
    """Whether we have it now: LOCK_SH or LOCK_EX."""
    for left in reversed(range(tries)):
        try:
            fcntl.flock(fd, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(0.02)
        else:
            return True
    return False
