"""A file's bytes to stable storage, slice by slice: fsync(2) alone may take minutes in which nobody can stop it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE = 8 * MIB  # bytes: a tenth of a second on a slow drive
_WRITE = 2  # SYNC_FILE_RANGE_WRITE, linux/fs.h
_WRITE_AND_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER


def write_back(fd: int, size: int, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Let most of it reach the drive; False where ``go_on`` said no. What is left to fsync(2), errors too, is little.

    Between two slices a signal is heard. A slice is written while the one before it is waited for.
    """
    import ctypes  # os has no sync_file_range(2)

    sync_file_range = ctypes.CDLL(None).sync_file_range
    for at in range(0, size, SLICE):
        if not go_on():
            return False
        sync_file_range(fd, ctypes.c_int64(at + SLICE), ctypes.c_int64(SLICE), _WRITE)
        sync_file_range(fd, ctypes.c_int64(at), ctypes.c_int64(SLICE), _WRITE_AND_WAIT)
    return go_on()


def sync(fd: int) -> None:
    """As fsync(2); OSError."""
    write_back(fd, _dirty(fd))
    os.fsync(fd)


def sync_data(fd: int) -> None:
    """As fdatasync(2); OSError."""
    write_back(fd, _dirty(fd))
    os.fdatasync(fd)


def _dirty(fd: int) -> int:
    """Up to where it is worth looking; a small file, as metadata in place are, is left to one system call."""
    size = os.lseek(fd, 0, os.SEEK_END)
    return size if size > 4 * SLICE else 0
