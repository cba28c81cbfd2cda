"""Time that neither a suspended host nor a clock that is set can stretch, and which of the host's starts this is."""

from __future__ import annotations

import time

_BOOT_ID = "/proc/sys/kernel/random/boot_id"


def boottime() -> float:
    """Seconds since the host's start, suspended or not (CLOCK_BOOTTIME, clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's name for its present life (random(4)); a deadline of another one means nothing."""
    with open(_BOOT_ID, encoding="ascii") as file:
        return file.read().strip()
