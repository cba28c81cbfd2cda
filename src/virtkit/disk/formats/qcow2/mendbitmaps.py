"""Dirty bitmaps put right: where it cannot be known what was written, everything counts as written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import round_up
from virtkit.disk.formats.qcow2 import bitmaps
from virtkit.disk.formats.qcow2.counts import big_endian
from virtkit.disk.formats.qcow2.layout import AUTOCLEAR_BITMAPS, ENTRY, OFFSET, Extension
from virtkit.disk.formats.qcow2.packing import pack
from virtkit.disk.formats.qcow2.patches import write_changed
from virtkit.disk.runs import table_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.bitmaps import StoredBitmap
    from virtkit.disk.formats.qcow2.head import Head

_PIECE = 1 << 19  # entries of a table looked at together


def mend_bitmaps(file: File, head: Head) -> Iterator[str]:
    """A directory that nobody keeps up, or that cannot be read, is dropped; so is a bitmap without its table."""
    if Extension.BITMAPS not in head.extensions:
        return
    if not head.features.autoclear & AUTOCLEAR_BITMAPS:
        yield "bitmaps: a program that does not know them wrote to the image; they are dropped"
        _drop(file, head)
        return
    try:
        found = bitmaps.read(file, head)
    except CorruptImageError as error:
        yield f"bitmaps: {error.field} is {error.found}; all are dropped"
        _drop(file, head)
        return
    kept = [bitmap for bitmap in found if _there(file, bitmap)]
    for bitmap in kept:
        yield from _mend_table(file, head, bitmap)
    for bitmap in found:
        if bitmap not in kept:
            yield f"bitmap {bitmap.name}: has no table that could be, and is dropped"
    if len(kept) < len(found):
        _store(file, head, kept)


def _store(file: File, head: Head, kept: list[StoredBitmap]) -> None:
    """A new directory is written behind the end of the file, then the header names it."""
    packed, at = b"".join(bitmap.pack() for bitmap in kept), round_up(file.size, head.cluster_size)
    file.write(at, packed)
    file.sync_data()
    write_changed(file, 0, pack(file.name, bitmaps.with_directory(head, len(kept), at, len(packed))))


def _there(file: File, bitmap: StoredBitmap) -> bool:
    at, count = bitmap.entry.table_offset, bitmap.entry.table_size
    return count <= bitmaps.MAX_TABLE and at + count * ENTRY <= file.size


def _mend_table(file: File, head: Head, bitmap: StoredBitmap) -> Iterator[str]:
    wrong = 0
    for first in range(0, bitmap.entry.table_size, _PIECE):
        at, count = bitmap.entry.table_offset + first * ENTRY, min(_PIECE, bitmap.entry.table_size - first)
        table = table_of(file.read(at, count * ENTRY), code="Q", endian="big")
        for index, entry in enumerate(table):
            if entry and not _possible(file, head, entry):
                table[index] = bitmaps.ALL_ONES
                wrong += 1
        write_changed(file, at, big_endian(table))
    if wrong:
        yield f"bitmap {bitmap.name}: {wrong} entries that could not be; what they are for counts as written"


def _possible(file: File, head: Head, entry: int) -> bool:
    if entry & bitmaps.RESERVED:
        return False
    offset = entry & OFFSET
    if not offset:
        return True
    return offset % head.cluster_size == 0 and not entry & bitmaps.ALL_ONES and offset < file.size


def _drop(file: File, head: Head) -> None:
    write_changed(file, 0, pack(file.name, bitmaps.with_directory(head, 0, 0, 0)))
