"""Knobs that are borrowed: set for the time of a measurement, and put back however the process that did it ends.

A keeper waits at the end of a pipe that this process alone holds open. When it closes, at the end of the block or
with the death of this process, SIGKILL included, the keeper undoes what this process changed, from the journal. If
the keeper dies too, the change stands in the journal for ``virtkit undo``.
"""

from __future__ import annotations

import fcntl
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core import engine
from virtkit.core.errors import BusyError, SystemCallError
from virtkit.core.flock import locked
from virtkit.core.processes import this_process
from virtkit.core.progress import silent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.journal import Journal
    from virtkit.core.plan import Plan
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@contextmanager
def borrowed(plan: Plan, system: System, journal: Journal, report: Sink = silent) -> Iterator[None]:
    """While the block runs, ``plan`` is in force. What the block itself does to the same knobs is put back, too.

    BusyError while another process borrows: it would take for the old value what is only lent. RolledBackError if the
    plan could not be carried out, UndoIncompleteError if not everything went back.
    """
    if not plan:
        yield
        return
    with _alone(journal):
        held, keeper = _keeper(system, journal)
        try:
            engine.run(plan, system, journal, report)
            yield
        finally:
            os.close(held)
            os.waitpid(keeper, 0)
            give_back(*this_process(), system, journal)  # nothing is left, unless the keeper failed


@contextmanager
def _alone(journal: Journal) -> Iterator[None]:
    """The keeper has the lock, too: it lasts until everything is back."""
    path = journal.directory / "loan"
    try:
        os.makedirs(journal.directory, mode=0o700, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SystemCallError(f"open {path}", error) from error
    try:
        if not locked(lock, fcntl.LOCK_EX):
            raise BusyError("another measurement has borrowed from this host, expected one at a time")
        yield
    finally:
        os.close(lock)


def give_back(pid: int, born: int, system: System, journal: Journal) -> None:
    """Undo, newest first, every change of that process of which something is left."""
    for change in reversed(journal.changes()):
        if (change.pid, change.born) == (pid, born) and change.remaining:
            engine.undo(journal, change.number, system, force=True)


def _keeper(system: System, journal: Journal) -> tuple[int, int]:
    """The end of the pipe that we hold, and the keeper's process."""
    pid, born = this_process()
    waits, held = os.pipe()
    keeper = os.fork()
    if keeper:
        os.close(waits)
        return held, keeper
    status = 1
    try:
        os.close(held)
        os.setsid()
        for ignored in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            signal.signal(ignored, signal.SIG_IGN)
        os.read(waits, 1)
        give_back(pid, born, system, journal)
        status = 0
    finally:
        os._exit(status)  # who forked us tries again, and tells why not
