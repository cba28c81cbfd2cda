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

from virtkit.core import engine, wayback
from virtkit.core.boot import boottime
from virtkit.core.change import Change
from virtkit.core.deadman import guarding
from virtkit.core.deadman.switch import Switch
from virtkit.core.deadman.waiting import POLL
from virtkit.core.errors import BusyError, NotFoundError, RolledBackError
from virtkit.core.journal import Journal
from virtkit.core.processes import born
from virtkit.core.progress import Note
from virtkit.core.system import System

if TYPE_CHECKING:
    from virtkit.core.progress import Event

GRACE = 1.0  # seconds that a living process is late, before it counts as stopped
FORWARD, BACK = 300.0, 90.0  # seconds that one step may take: a daemon's DHCP client; anything on the way back
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0  # seconds until it is tried again: twice as long each time


def main(journal: str, root: str, number: int) -> None:
    for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    syslog.openlog("virtkit-guardian")
    switch = Switch(Path(journal), number)
    if switch.guard():
        stand_by(Journal(Path(journal)), switch, System(Path(root)))


def stand_by(journal: Journal, switch: Switch, system: System) -> None:
    """Until the change is whole or put back; it never gives up, for nobody else may be left."""
    pace, pause = _Pace(), FIRST_PAUSE
    while switch.exists:
        try:
            change = pace.look(journal, switch.number)
            if pace.late(change) and change.pid != os.getpid():
                _kill(change)
            why = f"the process that made it (pid {change.pid}) is dead"
            change = engine.go_on(journal, switch.number, system, _note, why=why)
            _tell(f"{change.name}: {change.state}")
        except BusyError:  # as it should be: somebody works on it
            time.sleep(POLL)
        except RolledBackError as error:
            _tell(str(error))
        except NotFoundError as error:  # somebody took its journal away
            _tell(str(error))
            guarding.abandon(switch, system)
        except Exception as error:  # noqa: BLE001  whatever it is: the host may be cut off
            _tell(f"{wayback.reason(error)}; tried again in {pause:g} s")
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


class _Pace:
    """How a change gets on, seen from outside. A host that is suspended is not late: its processes were so, too."""

    def __init__(self) -> None:
        self._change = Change(0)
        self._size, self._since = 0, time.monotonic()
        self._over: float | None = None  # since when its deadline is

    def look(self, journal: Journal, number: int) -> Change:
        if (size := journal.size(number)) != self._size:
            self._size, self._since = size, time.monotonic()
            self._change = journal.peek(number)
        return self._change

    def late(self, change: Change) -> bool:
        """Its deadline is over, or one step takes too long."""
        now = time.monotonic()
        if change.deadline and not (change.confirmed or change.reason or change.committed):
            if boottime() <= change.deadline:
                self._over = None
                return False
            self._over = self._over or now
            return now - self._over > GRACE
        return now - self._since > (BACK if change.reason or change.committed else FORWARD)


def _kill(change: Change) -> None:
    """The process that holds the change, if it is still the one that its journal names."""
    with suppress(ProcessLookupError):
        process = os.pidfd_open(change.pid)
        try:
            if born(change.pid) == change.born:
                _tell(f"{change.name}: pid {change.pid} does not go on, it is killed")
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


def _note(event: Event) -> None:
    if isinstance(event, Note):
        _tell(f"{event.step}: {event.text}")


def _tell(text: str) -> None:
    syslog.syslog(syslog.LOG_NOTICE, text.replace("\n", "; "))
