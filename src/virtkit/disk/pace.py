"""Not faster than asked: other users of the same disks shall not feel the work."""

from __future__ import annotations

import time

from virtkit.core.errors import UsageError


class Pace:
    """``rate`` is bytes a second; 0: as fast as it goes."""

    def __init__(self, rate: int) -> None:
        if rate < 0:
            raise UsageError(f"rate is {rate}, expected bytes a second")
        self._rate = rate
        self._moved = 0
        self._began = time.monotonic()

    def count(self, moved: int) -> None:
        """Sleep where ``moved`` more bytes would be too many so far."""
        if self._rate:
            self._moved += moved
            time.sleep(max(self._moved / self._rate - (time.monotonic() - self._began), 0))
