"""Which stretches of two files are the same blocks of their file system: those are equal without being read.

Only what FIEMAP calls plain and shared counts (nothing delayed, unwritten, compressed or inline), and only on file
systems whose block numbers mean one place: btrfs, and XFS apart from its realtime device.
"""

from __future__ import annotations

import fcntl
import os
from bisect import bisect_right
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING

from virtkit.disk import physical, pieces
from virtkit.disk.format import Extent, Kind
from virtkit.disk.physical import SHARED, Block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File

_BTRFS_IOC_GET_FEATURES = 0x80189439  # _IOR(0x94, 57, struct btrfs_ioctl_feature_flags), linux/btrfs.h
_XFS_IOC_DIOINFO = 0x800C581E  # _IOR('X', 30, struct dioattr), xfs_fs.h
_FS_IOC_FSGETXATTR = 0x801C581F  # _IOR('X', 31, struct fsxattr), linux/fs.h
_REALTIME = 1  # FS_XFLAG_REALTIME
_MOST = 1 << 16  # blocks of a file that are looked at: 4 MiB of memory


class SameBlocks:
    """The maps of the files of one comparison, each asked for once."""

    def __init__(self) -> None:
        self._maps: dict[int, list[Block]] = {}  # by descriptor

    def apart(self, one: Extent, other: Extent) -> Iterator[tuple[Extent, Extent]]:
        """What is left of two stretches of a disk, both as long, that may differ."""
        start = one.start
        for begin, end in self._common(one, other):
            if start < begin:
                yield pieces.part(one, start, begin), pieces.part(other, start, begin)
            start = end
        if start == one.start:
            yield one, other
        elif start < one.end:
            yield pieces.part(one, start, one.end), pieces.part(other, start, one.end)

    def _common(self, one: Extent, other: Extent) -> Iterator[tuple[int, int]]:
        """Stretches of the disk, in order."""
        if not (one.kind is other.kind is Kind.DATA and one.file and other.file):
            return
        if not self._shared(one.file) or os.fstat(one.file.fd).st_dev != os.fstat(other.file.fd).st_dev:
            return
        left = _within(self._shared(one.file), one)
        right = _within(self._shared(other.file), other)
        mine, theirs = next(left, None), next(right, None)
        while mine and theirs:
            begin, end = max(mine.start, theirs.start), min(mine.end, theirs.end)
            if begin < end and mine.at - mine.start == theirs.at - theirs.start:
                yield begin, end
            if mine.end <= theirs.end:
                mine = next(left, None)
            else:
                theirs = next(right, None)

    def _shared(self, file: File) -> list[Block]:
        if file.fd not in self._maps:
            found = islice(physical.blocks(file, 0, file.size), _MOST) if _is_sound(file) else ()
            self._maps[file.fd] = [block for block in found if block.is_plain and block.flags & SHARED]
        return self._maps[file.fd]


def _within(blocks: list[Block], extent: Extent) -> Iterator[Block]:
    """Those that lie in ``extent``, with their start in the disk."""
    first = max(bisect_right(blocks, extent.at, key=attrgetter("start")) - 1, 0)
    for block in islice(blocks, first, None):
        begin, end = max(block.start, extent.at), min(block.end, extent.at + extent.length)
        if block.start >= extent.at + extent.length:
            return
        if begin < end:
            yield Block(begin - extent.at + extent.start, end - begin, block.at + begin - block.start, block.flags)


def _is_sound(file: File) -> bool:
    if file.is_device:
        return False
    if _answer(file, _BTRFS_IOC_GET_FEATURES, 24):
        return True
    attributes = _answer(file, _XFS_IOC_DIOINFO, 12) and _answer(file, _FS_IOC_FSGETXATTR, 28)
    return bool(attributes) and not int.from_bytes(attributes[:4], "little") & _REALTIME


def _answer(file: File, request: int, size: int) -> bytes:
    """b"" where the file system does not know the question."""
    try:
        return fcntl.ioctl(file.fd, request, bytes(size))
    except OSError:
        return b""
