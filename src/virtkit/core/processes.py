"""The processes of this host, as the kernel tells them (proc_pid_stat(5))."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEHIND_NAME = 3  # the first field that stands there, counted as proc_pid_stat(5) does
_STATE, _GROUP, _SESSION, _FLAGS, _BORN = (field - _BEHIND_NAME for field in (3, 5, 6, 9, 22))
_EXITING = 0x4  # PF_EXITING, linux/sched.h


class Process(NamedTuple):
    pid: int
    state: str
    group: int
    session: int
    flags: int
    born: int  # clock ticks since the host's start

    @property
    def dead(self) -> bool:
        """It does nothing any more, although it may not be gone yet, or nobody has asked for its exit status.

        The kernel sets the flag before it closes the files: whose lock has gone with him is dead by this.
        """
        return self.state in "ZX" or bool(self.flags & _EXITING)


def process(pid: int) -> Process | None:
    """None: there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="surrogateescape") as file:
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    numbers = (int(fields[at]) for at in (_GROUP, _SESSION, _FLAGS, _BORN))
    return Process(pid, fields[_STATE], *numbers)


def processes() -> Iterator[Process]:
    for name in os.listdir("/proc"):
        if name.isdecimal() and (found := process(int(name))):
            yield found


def born(pid: int) -> int:
    """When the process was started, in clock ticks since the host's start; 0: no such process.

    Its number may be another process's later; number and start together are not.
    """
    found = process(pid)
    return found.born if found else 0


def this_process() -> tuple[int, int]:
    """pid, born."""
    return os.getpid(), born(os.getpid())
