"""A piece of work in a process of its own that is there at once: a copy of this one, not a Python that has to start."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Ended(NamedTuple):
    """As subprocess.CompletedProcess: a signal is its number below zero."""

    returncode: int
    stdout: str
    stderr: str


def forked(work: Callable[[], object], **environment: str) -> Ended:
    """What ``work`` returns is of no interest, unless it is an exit status; an exception is told, as Python does it."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                os.environ.update(environment)
                status = _done(work)
            finally:
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        out.seek(0)
        err.seek(0)
        return Ended(status, out.read().decode(), err.read().decode())


def _done(work: Callable[[], object]) -> int:
    with open(1, "w", closefd=False) as sys.stdout, open(2, "w", closefd=False) as sys.stderr:
        try:
            status = work()
        except BaseException:  # noqa: BLE001  Python's own last resort
            traceback.print_exc()
            return 1
        return status if isinstance(status, int) else 0
