"""A piece of work that is killed between two of its calls that change a file."""

from __future__ import annotations

import fcntl
import os
import signal
import tempfile
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from support.forked import forked

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


_CALLS = (
    (os, "pwrite"),
    (os, "ftruncate"),
    (os, "fsync"),
    (os, "fdatasync"),
    (fcntl, "ioctl"),
)  # that change a file, or order what was changed


def killed(work: Callable[[], object], before: int) -> bool:
    """Run ``work`` in a process of its own that gets SIGKILL before its call number ``before``; False: it ended."""
    made = 0

    def count() -> None:
        nonlocal made
        made += 1
        if made == before:
            os.kill(os.getpid(), signal.SIGKILL)

    return _in_a_process(work, count) == -signal.SIGKILL


def moments(work: Callable[[], object], few: int) -> list[int]:
    """Numbers of calls before which to kill, spread over all that ``work`` makes; it is done once for that."""
    with tempfile.TemporaryFile() as calls:
        _in_a_process(work, lambda: os.write(calls.fileno(), b"."))
        total = os.fstat(calls.fileno()).st_size
    return sorted({1 + index * total // few for index in range(few)} | {total}) if total else []


def _in_a_process(work: Callable[[], object], before_call: Callable[[], object]) -> int:
    """Its exit status; a failure of ``work`` is one of the test."""

    def watched() -> None:
        for module, name in _CALLS:
            setattr(module, name, _watched(getattr(module, name), before_call))
        work()

    done = forked(watched)
    assert done.returncode in {0, -signal.SIGKILL}, done.stderr
    return done.returncode


def _watched(call: Callable[P, R], before_call: Callable[[], object]) -> Callable[P, R]:
    def watched(*args: P.args, **named: P.kwargs) -> R:
        before_call()
        return call(*args, **named)

    return watched
