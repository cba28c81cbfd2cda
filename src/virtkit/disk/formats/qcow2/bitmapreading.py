"""What the dirty bitmaps of an image say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, ImageError, NotFoundError
from virtkit.disk.format import Bitmap
from virtkit.disk.formats.qcow2 import bitmaps
from virtkit.disk.formats.qcow2.layout import ENTRY, OFFSET
from virtkit.disk.runs import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Stretch
    from virtkit.disk.formats.qcow2.bitmaps import StoredBitmap
    from virtkit.disk.formats.qcow2.head import Head

_PIECE = 1 << 16  # entries of a table read at once


def listed(file: File, head: Head) -> list[Bitmap]:
    return [described(bitmap) for bitmap in bitmaps.read(file, head)]


def described(stored: StoredBitmap) -> Bitmap:
    flags = stored.entry.flags
    enabled, broken = bool(flags & bitmaps.AUTO), bool(flags & bitmaps.IN_USE)
    return Bitmap(stored.name, stored.granularity, enabled=enabled, broken=broken)


def find(file: File, head: Head, name: str) -> StoredBitmap:
    found = {bitmap.name: bitmap for bitmap in bitmaps.read(file, head)}
    if name not in found:
        raise NotFoundError(f"{file.name}: has no bitmap {name}", hint=f"virtkit disk info {file.name}")
    return found[name]


def read(file: File, head: Head, name: str, *, in_use: bool = False) -> Iterator[Stretch]:
    """See ``BitmapImage.read_bitmap``; ``in_use``: also where that was left to be in use."""
    from virtkit.disk.formats.qcow2.dirtybits import merged  # who only lists them needs no patterns

    stored = find(file, head, name)
    if not in_use and stored.entry.flags & bitmaps.IN_USE:
        raise ImageError(
            f"{file.name}: bitmap {name} is broken: its machine died while it was recording",
            hint=f"virtkit disk bitmap --remove {file.name} {name}",
        )
    return merged(_stretches(file, head, stored), head.header.size)


def _stretches(file: File, head: Head, stored: StoredBitmap) -> Iterator[Stretch]:
    from virtkit.disk.formats.qcow2.dirtybits import runs_of

    cluster, granularity = head.cluster_size, stored.granularity
    span = 8 * cluster * granularity
    count, there = bitmaps.table_size(head.header.size, granularity, cluster), stored.entry.table_size
    field = f"bitmap {stored.name}"
    if there < count or count > bitmaps.MAX_TABLE:
        at = stored.entry.table_offset
        raise CorruptImageError(
            file.name, field, found=f"a table of {there} entries", expected=f"{count}, 2**27 at most", offset=at
        )
    for first in range(0, count, _PIECE):
        at, some = stored.entry.table_offset + first * ENTRY, min(_PIECE, count - first)
        for index, entry in enumerate(read_table(file, field, at, some, code="Q", endian="big"), first):
            start, offset = index * span, entry & OFFSET
            if entry & bitmaps.RESERVED or offset % cluster or (offset and entry & bitmaps.ALL_ONES):
                where = stored.entry.table_offset + index * ENTRY
                raise CorruptImageError(file.name, field, found=f"{entry:#x}", expected="a cluster", offset=where)
            if entry == bitmaps.ALL_ONES:
                yield start, start + span
            elif offset:
                for begin, end in runs_of(file.read(offset, cluster)):
                    yield start + begin * granularity, start + end * granularity
