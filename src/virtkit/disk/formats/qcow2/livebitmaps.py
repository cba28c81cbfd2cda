"""Dirty bitmaps of an image that is written: stored, replaced, deleted.

The new directory and everything that it names are on stable storage before the header names it; what only the old one
named is given back afterwards.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Protocol

from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError
from virtkit.core.units import divide_up, format_size, is_power_of_two
from virtkit.disk.formats.qcow2 import bitmaps
from virtkit.disk.formats.qcow2.bitmaps import DirectoryEntry, StoredBitmap, table_size
from virtkit.disk.formats.qcow2.dirtybits import bits_of
from virtkit.disk.formats.qcow2.layout import ENTRY, OFFSET, V2
from virtkit.disk.runs import read_table, stored_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from virtkit.disk.file import File
    from virtkit.disk.format import Bitmap, Stretch
    from virtkit.disk.formats.qcow2.allocator import Allocator
    from virtkit.disk.formats.qcow2.head import Head
    from virtkit.disk.formats.qcow2.heading import Heading

_MIN_BITS, _MAX_BITS = 9, 31  # of granularities; QEMU, block/qcow2-bitmap.c
_MAX_NAME = 1023  # bytes
_MAX_BITMAPS = 65535
_TRACKING = 1  # the only type of bitmap that there is


class Keeper(Protocol):
    """What bitmaps need of the image that keeps them."""

    heading: Heading

    @property
    def file(self) -> File: ...

    @property
    def head(self) -> Head: ...

    @property
    def size(self) -> int: ...

    @property
    def allocator(self) -> Allocator: ...

    def begin(self) -> None: ...

    def commit(self) -> None: ...


def store(image: Keeper, bitmap: Bitmap, dirty: Iterable[Stretch]) -> None:
    """See ``LiveBitmapImage.store_bitmap``."""
    _require_sense(image, bitmap)
    old = bitmaps.read(image.file, image.head)
    others = [other for other in old if other.name != bitmap.name]
    if len(others) >= _MAX_BITMAPS:
        raise UsageError(f"{image.file.name}: has {len(others)} bitmaps, expected {_MAX_BITMAPS} at most")
    image.begin()
    image.commit()
    table = array("Q", _entries(image, bitmap, dirty))
    at = 0
    if table:
        size = len(table) * ENTRY
        at = image.allocator.take_row(divide_up(size, image.head.cluster_size)) * image.head.cluster_size
        image.file.write(at, stored_table(table, endian="big"))
    name = bitmap.name.encode(errors="surrogateescape")
    flags = (bitmaps.AUTO if bitmap.enabled else 0) | (bitmaps.IN_USE if bitmap.broken else 0)
    bits = bitmap.granularity.bit_length() - 1
    entry = DirectoryEntry(at, len(table), flags, _TRACKING, bits, len(name), 0)
    place = next((index for index, other in enumerate(old) if other.name == bitmap.name), len(old))
    others.insert(place, StoredBitmap(entry, bitmap.name))
    _replace(image, others, [other for other in old if other.name == bitmap.name])


def delete(image: Keeper, name: str) -> None:
    """See ``LiveBitmapImage.delete_bitmap``."""
    old = bitmaps.read(image.file, image.head)
    gone = [bitmap for bitmap in old if bitmap.name == name]
    if not gone:
        raise NotFoundError(f"{image.file.name}: has no bitmap {name}", hint=f"virtkit disk info {image.file.name}")
    image.begin()
    image.commit()
    _replace(image, [bitmap for bitmap in old if bitmap.name != name], gone)


def set_flags(image: Keeper, flags: dict[str, int]) -> None:
    """In the directory as it is: no bitmap comes or goes."""
    directory = bitmaps.directory(image.head, image.file.name)
    if directory is None:
        return
    known = bitmaps.read(image.file, image.head)
    changed = [_flagged(bitmap, flags.get(bitmap.name, bitmap.entry.flags)) for bitmap in known]
    image.file.write(directory.directory_offset, b"".join(bitmap.pack() for bitmap in changed))
    image.file.sync_data()


def _flagged(bitmap: StoredBitmap, flags: int) -> StoredBitmap:
    return bitmap._replace(entry=DirectoryEntry(**{**vars(bitmap.entry), "flags": flags}))


def _require_sense(image: Keeper, bitmap: Bitmap) -> None:
    file, size = image.file.name, bitmap.granularity
    if image.head.header.version == V2:
        hint = f"virtkit disk amend -o compat=1.1 {file}"
        raise NotSupportedError(f"{file}: is of version 2, which keeps no bitmaps", hint=hint)
    if not is_power_of_two(size) or not 1 << _MIN_BITS <= size <= 1 << _MAX_BITS:
        raise UsageError(f"{file}: granularity is {format_size(size)}, expected a power of two from 512 B to 2 GiB")
    if not 0 < len(bitmap.name.encode(errors="surrogateescape")) <= _MAX_NAME:
        raise UsageError(f"{file}: name of the bitmap is {bitmap.name!r}, expected 1 to {_MAX_NAME} bytes")
    entries = table_size(image.size, size, image.head.cluster_size)
    if entries > bitmaps.MAX_TABLE:
        raise UsageError(f"{file}: granularity is {format_size(size)}, too small for {format_size(image.size)}")


def _entries(image: Keeper, bitmap: Bitmap, dirty: Iterable[Stretch]) -> Iterator[int]:
    """The table, piece by piece; clusters of bits are written as they come."""
    cluster, granularity = image.head.cluster_size, bitmap.granularity
    bits = divide_up(image.size, granularity)
    per_entry, reached = 8 * cluster, 0
    for index, runs in _by_entry(dirty, granularity, per_entry, bits):
        yield from (0 for _ in range(reached, index))
        reached = index + 1
        if runs == [(0, min(per_entry, bits - index * per_entry))]:
            yield bitmaps.ALL_ONES
            continue
        ((first, _),) = image.allocator.take(1)
        image.file.write(first * cluster, bits_of(runs, cluster))
        yield first * cluster
    yield from (0 for _ in range(reached, divide_up(bits, per_entry)))


def _by_entry(
    dirty: Iterable[Stretch], granularity: int, per_entry: int, bits: int
) -> Iterator[tuple[int, Sequence[Stretch]]]:
    """(entry, runs of its bits) of the entries that are not all zeros."""
    runs: list[Stretch] = []
    current = 0
    for index, begin, end in _cut(dirty, granularity, per_entry, bits):
        if index != current:
            if runs:
                yield current, runs
            current, runs = index, []
        if runs and begin <= runs[-1][1]:
            runs[-1] = runs[-1][0], max(end, runs[-1][1])
        else:
            runs.append((begin, end))
    if runs:
        yield current, runs


def _cut(dirty: Iterable[Stretch], granularity: int, per_entry: int, bits: int) -> Iterator[tuple[int, int, int]]:
    """Stretches as bits that lie within one entry each."""
    for start, stop in dirty:
        begin, end = start // granularity, min(divide_up(stop, granularity), bits)
        while begin < end:
            index = begin // per_entry
            last = min(end, (index + 1) * per_entry)
            yield index, begin - index * per_entry, last - index * per_entry
            begin = last


def _replace(image: Keeper, kept: list[StoredBitmap], gone: list[StoredBitmap]) -> None:
    cluster = image.head.cluster_size
    before = bitmaps.directory(image.head, image.file.name)
    packed, at = b"".join(bitmap.pack() for bitmap in kept), 0
    if kept:
        at = image.allocator.take_row(divide_up(len(packed), cluster)) * cluster
        image.file.write(at, packed)
    image.allocator.store()
    image.heading.replace(bitmaps.with_directory(image.head, len(kept), at, len(packed)))
    if before:
        image.allocator.free(before.directory_offset // cluster, divide_up(before.directory_size, cluster))
    for bitmap in gone:
        _free(image, bitmap)
    image.commit()


def _free(image: Keeper, bitmap: StoredBitmap) -> None:
    cluster, at, count = image.head.cluster_size, bitmap.entry.table_offset, bitmap.entry.table_size
    if not count:
        return
    for entry in read_table(image.file, f"bitmap {bitmap.name}", at, count, code="Q", endian="big"):
        if entry & OFFSET:
            image.allocator.free((entry & OFFSET) // cluster, 1)
    image.allocator.free(at // cluster, divide_up(count * ENTRY, cluster))
