"""The directory that a mounted image becomes: one file of the whole disk, and one for each partition.

The methods are libfuse's operations (fuse.h), as mfusepy calls them: from any thread, errors are OSErrors.
"""

from __future__ import annotations

import errno
import os
import stat
from functools import wraps
from typing import TYPE_CHECKING, NamedTuple, ParamSpec, TypeVar

from virtkit.core.errors import NotSupportedError, SystemCallError, VirtkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from virtkit.disk.export import Export

P = ParamSpec("P")
R = TypeVar("R")

DAEMON = "user.virtkit.pid"  # extended attribute of the directory: who serves it
_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 0x01, 0x02, 0x10  # linux/falloc.h
_BLOCK = 512  # bytes; of st_blocks


class Entry(NamedTuple):
    """A file of the directory: bytes [start, start + length) of the disk."""

    name: str
    start: int
    length: int


def _told_by_errno(call: Callable[P, R]) -> Callable[P, R]:
    @wraps(call)
    def told(*args: P.args, **named: P.kwargs) -> R:
        try:
            return call(*args, **named)
        except SystemCallError as error:
            raise OSError(error.errno or errno.EIO, error.message) from error
        except NotSupportedError as error:
            raise OSError(errno.EOPNOTSUPP, error.message) from error
        except VirtkitError as error:
            raise OSError(errno.EIO, error.message) from error

    return told


class Files:
    use_ns = True  # times are nanoseconds

    def __init__(
        self, export: Export, entries: Sequence[Entry], image: os.stat_result, ready: Callable[[], None]
    ) -> None:
        """``image``: who may use the files, and how old they are. ``ready`` is called when they can be used."""
        self._export = export
        self._entries = {f"/{entry.name}": entry for entry in entries}
        self._image = image
        self._ready = ready

    def init(self, path: str) -> None:
        self._ready()

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        times = {f"st_{which}time": self._image.st_mtime_ns for which in "amc"}
        common = {"st_uid": self._image.st_uid, "st_gid": self._image.st_gid, **times}
        allowed = 0o666 if self._export.writable else 0o444
        readable = self._image.st_mode & 0o444
        if path == "/":
            return {**common, "st_mode": stat.S_IFDIR | readable | readable >> 2, "st_nlink": 2}
        size = self._entry(path).length
        mode = stat.S_IFREG | self._image.st_mode & allowed
        return {**common, "st_mode": mode, "st_nlink": 1, "st_size": size, "st_blocks": size // _BLOCK}

    def readdir(self, path: str, fh: int) -> list[str]:
        return [".", "..", *(entry.name for entry in self._entries.values())]

    def getxattr(self, path: str, name: str, position: int = 0) -> bytes:
        if (path, name) == ("/", DAEMON):
            return str(os.getpid()).encode()
        raise OSError(errno.ENODATA, name)

    def open(self, path: str, flags: int) -> int:
        """O_TRUNC does nothing, as on a block device."""
        self._entry(path)
        return 0

    @_told_by_errno
    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        entry = self._entry(path)
        return self._export.read(entry.start + offset, max(min(size, entry.length - offset), 0))

    @_told_by_errno
    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """As a block device: what lies behind the end finds no room."""
        entry = self._entry(path)
        length = min(len(data), entry.length - offset)
        if length <= 0:
            raise OSError(errno.ENOSPC, entry.name)
        self._export.write(entry.start + offset, memoryview(data)[:length])
        return length

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        if length != self._entry(path).length:
            raise OSError(errno.EPERM, "a disk keeps its size")

    @_told_by_errno
    def fallocate(self, path: str, mode: int, offset: int, size: int, fh: int) -> None:
        entry = self._entry(path)
        size = min(size, entry.length - offset)
        if size <= 0 or mode & ~_KEEP_SIZE not in {_PUNCH_HOLE, _ZERO_RANGE}:
            raise OSError(errno.EOPNOTSUPP, entry.name)
        self._export.zero(entry.start + offset, size)

    @_told_by_errno
    def fsync(self, path: str, datasync: int, fh: int) -> None:
        self._export.flush()

    def _entry(self, path: str) -> Entry:
        if path not in self._entries:
            raise OSError(errno.ENOENT, path)
        return self._entries[path]
