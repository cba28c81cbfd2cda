"""The commands that a virtkit runs, which must not outlive it: they would work on what somebody puts back by then.

Each is a process group of its own. So a signal of the terminal (Ctrl-C, its loss) reaches virtkit alone, which knows
what it means by now; and a command is ended with all that it started. In its environment stands whose it is: so the
next virtkit finds what one that got SIGKILL has left. A daemon that a command started, as a DHCP client, has left
group and session (daemon(7)), and lives on.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress

from virtkit.core.processes import process, processes, this_process

_MARK = "VIRTKIT_RUN_BY"
_DIES = 5.0  # seconds that who got SIGKILL may take; one that hangs in the kernel does no harm in there


def marked() -> dict[str, str]:
    """What the environment of our commands says."""
    pid, birth = this_process()
    return {_MARK: f"{pid}.{birth}"}


def end(leader: int) -> None:
    """The command, and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def end_left(pid: int, birth: int) -> list[str]:
    """End the commands of a process that is dead; returns when they are gone, with their names."""
    maker = process(pid)
    if not birth or (maker and maker.born == birth and not maker.dead):
        return []
    mark = f"{_MARK}={pid}.{birth}".encode()
    leaders = [one.pid for one in processes() if one.pid == one.group != one.session and _has(one.pid, mark)]
    names = [_name(leader) for leader in leaders]
    for leader in leaders:
        end(leader)
    deadline = time.monotonic() + _DIES
    while any(one.group in leaders and not one.dead for one in processes()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return names


def _has(pid: int, mark: bytes) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:  # gone, or another user's
        return mark in file.read().split(b"\0")
    return False


def _name(pid: int) -> str:
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return "a command"
