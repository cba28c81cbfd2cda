"""Time that neither a suspended host nor a clock that is set can stretch, and which of the host's starts this is."""

from __future__ import annotations

import os
import time

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_BORN = 22 - 3  # starttime among the fields of /proc/PID/stat behind the command's name, proc_pid_stat(5)


def boottime() -> float:
    """Seconds since the host's start, suspended or not (CLOCK_BOOTTIME, clock_gettime(2))."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """The kernel's name for its present life (random(4)); a deadline of another one means nothing."""
    with open(_BOOT_ID, encoding="ascii") as file:
        return file.read().strip()


def born(pid: int) -> int:
    """When the process was started, in clock ticks since the host's start; 0: no such process.

    Its number may be another process's later; number and start together are not.
    """
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="surrogateescape") as file:
            return int(file.read().rpartition(")")[2].split()[_BORN])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def this_process() -> tuple[int, int]:
    """pid, born."""
    return os.getpid(), born(os.getpid())
