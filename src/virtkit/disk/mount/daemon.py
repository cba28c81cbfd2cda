"""Work that goes on in the background once it has begun well; until then its errors are the caller's."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING

from virtkit.core import errors
from virtkit.core.errors import VirtkitError

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[[Callable[[], None]], None]

_STANDARD_ERROR = 2
_LONGEST_WORDS = 64 << 10  # bytes


def start(work: Work) -> None:
    """Run ``work(ready)`` in a process of its own; returns when ``ready`` was called.

    Raises what ``work`` raised before that, with the last line of its standard error. It has no file of ours open.
    """
    read_end, write_end = os.pipe()
    between = os.fork()
    if not between:
        _be_a_daemon(work, write_end)
    os.close(write_end)
    os.waitpid(between, 0)
    with open(read_end, "rb") as told:
        said = json.loads(told.read() or b"{}")
    if "ready" not in said:
        raise _error(said)


def _be_a_daemon(work: Work, told: int) -> None:
    """Nobody's child: the caller need not wait for it. Never returns."""
    status = 1
    try:
        os.setsid()
        if os.fork():
            os._exit(0)
        _detach(told)

        def ready() -> None:
            _hear(os.devnull)
            os.chdir("/")
            os.write(told, b'{"ready": true}')
            os.close(told)

        work(ready)
        status = 0
    except VirtkitError as error:
        _tell(told, type(error).__name__, error.message + _heard(), error.hint)
    except BaseException as error:  # noqa: BLE001  there is nobody else to tell it
        _tell(told, "VirtkitError", f"internal error: {type(error).__name__}: {error}", "")
    finally:
        os._exit(status)


def _detach(kept: int) -> None:
    """Nothing of the caller's stays open: its terminal, its pipes, its locks."""
    _hear(os.devnull)
    for fd in [int(name) for name in os.listdir("/proc/self/fd")]:
        if fd > _STANDARD_ERROR and fd != kept:
            with suppress(OSError):  # the one that listed the others is closed already
                os.close(fd)
    os.dup2(os.memfd_create("standard error"), _STANDARD_ERROR)


def _hear(path: str) -> None:
    """Standard input, output and error are ``path``."""
    fd = os.open(path, os.O_RDWR)
    for standard in range(_STANDARD_ERROR + 1):
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
