"""Work that goes on in the background once it has begun well; until then its errors are the caller's.

The process is started anew rather than forked: the caller may have threads, whose locks a fork would keep for ever.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from virtkit.core import errors
from virtkit.core.errors import VirtkitError

if TYPE_CHECKING:
    from collections.abc import Callable

Order = TypeVar("Order")

_STANDARD_INPUT, _STANDARD_OUTPUT, _STANDARD_ERROR = range(3)
_LONGEST_WORDS = 64 << 10  # bytes


def start(module: str, order: object, *shown: str) -> None:
    """Have ``module`` ``carry_out`` the order in a process of its own; returns when that is ready.

    Raises what it raised before that, with the last line of its standard error. ``shown``: words for the process list.
    """
    order_end, ordered = os.pipe()
    told_end, told = os.pipe()
    streams = [(os.POSIX_SPAWN_DUP2, order_end, _STANDARD_INPUT), (os.POSIX_SPAWN_DUP2, told, _STANDARD_OUTPUT)]
    child = os.posix_spawn(sys.executable, [sys.executable, "-m", module, *shown], os.environ, file_actions=streams)
    os.close(order_end)
    os.close(told)
    with suppress(BrokenPipeError), open(ordered, "wb") as writer:
        pickle.dump(order, writer)
    os.waitpid(child, 0)
    with open(told_end, "rb") as reader:
        said = json.loads(reader.read() or b"{}")
    if "ready" not in said:
        raise _error(said)


def carry_out(work: Callable[[Order, Callable[[], None]], None]) -> None:
    """The other side of ``start``: ``work(order, ready)``. Nobody's child, so that nobody need wait for it."""
    with open(_STANDARD_INPUT, "rb", closefd=False) as reader:
        order: Order = pickle.load(reader)  # noqa: S301  from who started us
    os.setsid()
    if os.fork():
        os._exit(0)
    told = os.dup(_STANDARD_OUTPUT)
    _detach(told)

    def ready() -> None:
        _hear(os.devnull)
        os.chdir("/")
        os.write(told, b'{"ready": true}')
        os.close(told)

    try:
        work(order, ready)
    except VirtkitError as error:
        _tell(told, type(error).__name__, error.message + _heard(), error.hint)
    except BaseException as error:  # noqa: BLE001  there is nobody else to tell it
        _tell(told, "VirtkitError", f"internal error: {type(error).__name__}: {error}", "")


def _detach(kept: int) -> None:
    """Nothing of the caller's stays open: its terminal, its pipes."""
    _hear(os.devnull)
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > _STANDARD_ERROR and fd != kept:
            with suppress(OSError):  # the one that listed the others is closed already
                os.close(fd)
    heard = os.memfd_create("standard error")
    os.dup2(heard, _STANDARD_ERROR)
    os.close(heard)


def _hear(path: str) -> None:
    """Standard input, output and error are ``path``."""
    fd = os.open(path, os.O_RDWR)
    for standard in (_STANDARD_INPUT, _STANDARD_OUTPUT, _STANDARD_ERROR):
        os.dup2(fd, standard)
    os.close(fd)


def _heard() -> str:
    """What a library wrote to standard error: its last line, in parentheses."""
    lines = os.pread(_STANDARD_ERROR, _LONGEST_WORDS, 0).decode(errors="replace").splitlines()
    return f" ({lines[-1]})" if lines else ""


def _tell(told: int, kind: str, message: str, hint: str) -> None:
    with suppress(OSError):  # it was ready, and is closed: nobody waits for a word any more
        os.write(told, json.dumps({"kind": kind, "message": message, "hint": hint}).encode())


def _error(said: dict[str, str]) -> VirtkitError:
    kind = getattr(errors, said.get("kind", ""), VirtkitError)
    error: VirtkitError = kind.__new__(kind)
    VirtkitError.__init__(error, said.get("message", "the background process died"), hint=said.get("hint", ""))
    return error
