"""A file to measure on: it has no name, so that it goes with the process however that ends."""

from __future__ import annotations

import mmap
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError
from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 4096


@contextmanager
def scratch(directory: str, size: int) -> Iterator[int]:
    """Its descriptor; every byte is on the disk. SystemCallError: full, read-only, no such directory."""
    from tempfile import TemporaryFile  # also where the file system has no O_TMPFILE (overlays of old kernels)

    try:
        file = TemporaryFile(dir=directory, buffering=0)  # noqa: SIM115  it stays open as long as the block runs
    except OSError as error:
        raise SystemCallError(f"make a scratch file in {directory}", error) from error
    with file:
        _fill(file.fileno(), directory, size)
        yield file.fileno()


def _fill(fd: int, directory: str, size: int) -> None:
    try:
        for _ in range(size // MIB):
            os.write(fd, os.urandom(MIB))  # what compresses or repeats would not be stored
        os.fsync(fd)
    except OSError as error:
        raise SystemCallError(f"write a scratch file in {directory}", error) from error


@contextmanager
def opened_again(fd: int, flags: int) -> Iterator[int]:
    """The same file with other flags of open(2); SystemCallError where the file system refuses O_DIRECT."""
    try:
        again = os.open(f"/proc/self/fd/{fd}", flags | os.O_CLOEXEC)
    except OSError as error:
        raise SystemCallError("open the scratch file with O_DIRECT", error) from error
    try:
        yield again
    finally:
        os.close(again)


def aligned(size: int) -> mmap.mmap:
    """A buffer as O_DIRECT wants it."""
    return mmap.mmap(-1, size)
