"""The process that stands by while a change may cut its administrator off (core/deadman/starting has how it starts).

It holds the journal's promise: its lock goes with the process that dies, and the guardian takes it. A process that
neither dies nor goes on, stopped or blocked on a dead terminal, is killed when its time is over.
"""

from __future__ import annotations

import os
import signal
import syslog
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from virtkit.core import engine
from virtkit.core.boot import boottime, born
from virtkit.core.deadman.switch import Switch
from virtkit.core.errors import BusyError, NotFoundError, RolledBackError, VirtkitError
from virtkit.core.journal import Journal
from virtkit.core.system import System

if TYPE_CHECKING:
    from virtkit.core.change import Change

POLL = 0.05  # seconds
GRACE = 1.0  # seconds that a living process is late, before it counts as stopped
FORWARD, BACK = 300.0, 90.0  # seconds that one step may take: a daemon's DHCP client; anything on the way back
TRIES, PAUSE = 5, 2.0  # what could not be put back is tried again; seconds


def main(journal: str, root: str, number: int) -> None:
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    syslog.openlog("virtkit-guardian")
    switch = Switch(Path(journal), number)
    if switch.guard():
        stand_by(Journal(Path(journal)), switch, System(Path(root)))


def stand_by(journal: Journal, switch: Switch, system: System) -> None:
    """Until the change is whole or put back."""
    pace = _Pace(journal, switch.number)
    tries = 0
    while switch.exists:
        try:
            change = pace.look()
            if pace.late(change) and change.pid != os.getpid():
                _kill(change)
            why = f"the process that made it (pid {change.pid}) is dead"
            change = engine.go_on(journal, switch.number, system, why=why)
            _tell(f"change {change.number} ({change.title}): {change.state}")
        except BusyError:  # as it should be: somebody works on it
            time.sleep(POLL)
        except (RolledBackError, NotFoundError) as error:
            _tell(str(error))
        except VirtkitError as error:
            _tell(str(error))
            if (tries := tries + 1) == TRIES:
                raise
            time.sleep(PAUSE)


class _Pace:
    """How a change gets on, seen from outside."""

    def __init__(self, journal: Journal, number: int) -> None:
        self._journal, self._number = journal, number
        self._change = journal.peek(number)
        self._size, self._since = 0, boottime()

    def look(self) -> Change:
        if (size := self._journal.size(self._number)) != self._size:
            self._size, self._since = size, boottime()
            self._change = self._journal.peek(self._number)
        return self._change

    def late(self, change: Change) -> bool:
        """Its deadline is over, or one step takes too long."""
        if change.deadline and not (change.confirmed or change.reason or change.committed):
            return boottime() > change.deadline + GRACE
        return boottime() - self._since > (BACK if change.reason or change.committed else FORWARD)


def _kill(change: Change) -> None:
    """The process that holds the change, if it is still the one that its journal names."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(change.pid)
        try:
            if born(change.pid) == change.born:
                _tell(f"change {change.number}: pid {change.pid} does not go on, it is killed")
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


def _tell(text: str) -> None:
    syslog.syslog(syslog.LOG_NOTICE, text.replace("\n", "; "))
