"""Where the bytes of a file lie on its file system: FIEMAP, Documentation/filesystems/fiemap.rst of Linux."""

from __future__ import annotations

import errno
import fcntl
import struct
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import SystemCallError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File

_FS_IOC_FIEMAP = 0xC020660B  # _IOWR('f', 11, struct fiemap), linux/fs.h
_HEAD = struct.Struct("=QQIIII")  # struct fiemap: start, length, flags, mapped, count, reserved
_EXTENT = struct.Struct("=QQQ16xI12x")  # struct fiemap_extent: logical, physical, length, flags
_SYNC = 1  # FIEMAP_FLAG_SYNC
_BATCH = 512  # extents
_LAST = 0x1  # FIEMAP_EXTENT_*, linux/fiemap.h
UNWRITTEN = 0x800
SHARED = 0x2000
_MERGED = 0x1000
_NO_MAP = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EBADR}


class Block(NamedTuple):
    """A stretch of a file that lies in one piece; bytes."""

    start: int  # in the file
    length: int
    at: int  # on the file system
    flags: int

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def is_plain(self) -> bool:
        """Its bytes are on the file system, at ``at``, as they are: not unwritten, delayed, compressed or inline."""
        return not self.flags & ~(_LAST | _MERGED | SHARED)


def blocks(file: File, start: int, end: int) -> Iterator[Block]:
    """Those of [start, end), in order; the first and the last may reach beyond. First all is stored.

    None where the file system does not tell.
    """
    room = bytearray(_HEAD.size + _BATCH * _EXTENT.size)
    while start < end:
        _HEAD.pack_into(room, 0, start, end - start, _SYNC, 0, _BATCH, 0)
        try:
            fcntl.ioctl(file.fd, _FS_IOC_FIEMAP, room)
        except OSError as error:
            if error.errno in _NO_MAP:
                return
            raise SystemCallError(f"{file.name}: ask where its blocks are", error) from error
        count = _HEAD.unpack_from(room)[3]
        for number in range(count):
            logical, at, length, flags = _EXTENT.unpack_from(room, _HEAD.size + number * _EXTENT.size)
            yield Block(logical, length, at, flags)
            start = logical + length
        if count < _BATCH:
            return
