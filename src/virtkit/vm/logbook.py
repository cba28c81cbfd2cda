"""The log that libvirt keeps of a machine's QEMU: its command line at each start, and what QEMU said since.

libvirt appends to it; virtlogd moves it away to NAME.log.0 at 2 MiB and begins another (virtlogd.conf, max_size).
"""

from __future__ import annotations

import os
import re
import time
from io import FileIO
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError, NotSupportedError, SystemCallError
from virtkit.vm import connection, homes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from virtkit.core.system import System

POLL = 0.3  # seconds between two looks at a log that is followed
_START = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+\d{4}: starting up libvirt version: ")  # qemu_process.c


class Log(NamedTuple):
    path: str
    lines: tuple[str, ...]
    last_start: (
        int | None
    )  # index of the line where the last start begins; None: that is in an older file, or never was
    size: int  # bytes that were read


def place(uri: str, name: str) -> str:
    """Where the log of machine ``name`` is; NotSupportedError for the machines of another host."""
    if connection.whose(uri) in (connection.SYSTEM, connection.SESSION):
        return f"{homes.of(uri).logs}/{name}.log"
    hint = f"virtkit vm log {name}   (on that host)"
    raise NotSupportedError(f"{name}: its log is at {uri}, and libvirt hands out no logs", hint=hint)


def read(system: System, uri: str, name: str) -> Log:
    """NotFoundError if there is none: the machine was never started here. NotSupportedError where it is root's."""
    path = place(uri, name)
    if not system.exists(path):
        hint = f"virtkit vm start {name}"
        raise NotFoundError(f"{name}: has no log {path}: it was never started here, or the log was removed", hint=hint)
    if not os.access(system.path(path), os.R_OK):
        raise NotSupportedError(f"{name}: {path} is root's to read", hint=f"sudo virtkit vm log {name}")
    with _open(system.path(path)) as log:
        said = log.readall()
    lines = tuple(said.decode(errors="replace").splitlines())
    return Log(path, lines, last_start(lines), len(said))


def last_start(lines: Sequence[str]) -> int | None:
    return next((index for index in reversed(range(len(lines))) if _START.match(lines[index])), None)


def follow(path: Path, heard: int) -> Iterator[str]:
    """What is added after the first ``heard`` bytes, also to the file that takes this one's place.

    An empty text at each quiet look. SystemCallError if the file may not be read.
    """
    log = _open(path)
    try:
        log.seek(heard)
        while True:
            if added := log.read():
                yield added.decode(errors="replace")
            elif os.fstat(log.fileno()).st_size < log.tell():  # logrotate's copytruncate
                log.seek(0)
            elif path.exists() and not os.path.samestat(os.fstat(log.fileno()), path.stat()):
                log.close()
                log = _open(path)
            else:
                yield ""
                time.sleep(POLL)
    finally:
        log.close()


def _open(path: Path) -> FileIO:
    try:
        return FileIO(path)
    except OSError as error:
        raise SystemCallError(f"read {path}", error) from error
