"""A new file's bytes to stable storage, slice by slice: fsync(2) alone may take minutes in which nobody can stop it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import MIB

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.disk.file import File

SLICE = 16 * MIB  # bytes: a tenth of a second on a drive that is not fast
_AHEAD = 4 * SLICE  # bytes that are on their way while a slice is waited for
_START = 2  # SYNC_FILE_RANGE_WRITE, linux/fs.h
_WAIT = 7  # SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER


def write_back(file: File, go_on: Callable[[], bool] = lambda: True) -> bool:
    """Let the data reach the drive; False where ``go_on`` said no. Little is left to fsync(2) then, errors too.

    Between two slices a signal is heard.
    """
    import ctypes  # os has no sync_file_range(2)

    sync_file_range = ctypes.CDLL(None).sync_file_range
    for start, end in file.data(0, file.size):
        for at in range(start, end, SLICE):
            if not go_on():
                return False
            sync_file_range(file.fd, ctypes.c_int64(at), ctypes.c_int64(min(_AHEAD, end - at)), _START)
            sync_file_range(file.fd, ctypes.c_int64(at), ctypes.c_int64(min(SLICE, end - at)), _WAIT)
    return go_on()


def sync(file: File) -> None:
    """As ``File.sync``, and a signal is heard meanwhile."""
    if not file.is_device and file.allocated > SLICE:
        write_back(file)
    file.sync()
