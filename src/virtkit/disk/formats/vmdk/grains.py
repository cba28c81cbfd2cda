"""Where the guest's bytes are in a sparse extent: grain directory, grain tables, grains."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk import codecs
from virtkit.disk.format import Extent, Kind
from virtkit.disk.formats.vmdk.layout import ENTRY, GRAIN_MARKER_SIZE, ZEROED_GTE, Marker, Shape
from virtkit.disk.runs import Run, read_table, runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Decode

_PLENTY = 64  # bytes; deflate grows what it cannot shrink by 5 in 16 KiB, and the header and checksum are 6


class SparsePart:
    """An extent with tables of 32 bits: the hosted kind (KDMV) and ESX's (COWD).

    Where the first directory, or what it says, lies outside of the file, the redundant one is read in its place.
    """

    def __init__(self, file: File, shape: Shape, kind: str = "", base: int = 0) -> None:
        """``base``: where the extent begins in the disk, in bytes."""
        self.file: File = file
        self.shape = shape
        self.kind = kind
        self.size = shape.capacity * SECTOR
        self.grain = shape.grain_size * SECTOR
        self.compressed = shape.compressed
        self.span = self.grain * shape.gtes_per_gt  # bytes of the disk that one grain table describes
        self._base = base
        self.damaged = not self._fits(shape.directory_offset, shape.directory_sectors)  # the first directory

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        end, span = start + length, self.span
        for run in runs(self.directory, start // span, divide_up(end, span), self.shape.table_sectors, (0,)):
            if not run.stride:
                begin = max(start, run.begin * span)
                yield Extent(begin, min(end, run.end * span) - begin, Kind.HOLE)
                continue
            for index in range(run.begin, run.end):
                yield from self._extents_of_table(index, max(start, index * span), min(end, (index + 1) * span))

    @cached_property
    def directory(self) -> array[int]:
        if self.damaged and self.redundant is not None:
            return self.redundant[:]
        return self._read("grain directory", self.shape.directory_offset, self.shape.tables)

    @cached_property
    def redundant(self) -> array[int] | None:
        """The second directory; None where there is none, or none within the file."""
        at = self.shape.redundant_offset
        if not at or not self._fits(at, self.shape.directory_sectors):
            return None
        return self._read("redundant grain directory", at, self.shape.tables)

    def table(self, index: int) -> array[int]:
        """The grain table that entry ``index`` of the directory names, mended from the redundant one."""
        first = self._copy(self.directory, index, "grain table")
        second = self.redundant
        if first is not None and (max(first) * SECTOR < self.file.size or second is None):
            return first
        other = self._copy(second, index, "redundant grain table") if second is not None else None
        if first is None or other is None:
            return other or first or self._read(f"grain table {index}", self.directory[index], self.shape.gtes_per_gt)
        return mended(first, other, self.file.size // SECTOR)

    @cached_property
    def special(self) -> tuple[int, ...]:
        """Entries that name no grain."""
        return (0, ZEROED_GTE) if self.shape.zeroed else (0,)

    @cached_property
    def _decode(self) -> Decode:
        decode = codecs.decoder("vmdk", self.grain)
        return _behind_marker(decode, self._base) if self.shape.markers else decode

    def _copy(self, directory: array[int], index: int, name: str) -> array[int] | None:
        """None: it is not within the file."""
        at = directory[index]
        if not self._fits(at, self.shape.table_sectors):
            return None
        return self._read(f"{name} {index}", at, self.shape.gtes_per_gt)

    def _fits(self, at: int, sectors: int) -> bool:
        return at > 0 and (at + sectors) * SECTOR <= self.file.size

    def _read(self, name: str, at: int, count: int) -> array[int]:
        return read_table(self.file, name, at * SECTOR, count, code="I", endian="little")

    def _extents_of_table(self, index: int, start: int, end: int) -> Iterator[Extent]:
        """The part [start, end) of what the grain table ``index`` describes."""
        base = index * self.span
        at = self.directory[index] * SECTOR
        table = self.table(index)
        first, last = (start - base) // self.grain, divide_up(end - base, self.grain)
        for run in runs(table, first, last, self.shape.grain_size, self.special):
            begin = max(start, base + run.begin * self.grain)
            skip = begin - base - run.begin * self.grain
            stretch = Extent(begin, min(end, base + run.end * self.grain) - begin, Kind.HOLE)
            if not run.entry:
                yield stretch
            elif not run.stride:
                yield stretch._replace(kind=Kind.ZERO)
            elif self.compressed:
                yield from self._coded(run, stretch, skip, table[run.end] if run.end < len(table) else 0)
            else:
                yield self._plain(run, stretch, skip, at)

    def _plain(self, run: Run, stretch: Extent, skip: int, table_at: int) -> Extent:
        at = run.entry * SECTOR + skip
        self._require_within(at + stretch.length, run.entry, table_at + ENTRY * run.begin)
        return stretch._replace(kind=Kind.DATA, file=self.file, at=at)

    def _coded(self, run: Run, stretch: Extent, skip: int, after: int) -> Iterator[Extent]:
        """Grains as coded extents. How long one is stands in front of it; the next one says how long at most."""
        start, grain = stretch.start, run.entry + skip // self.grain * run.stride
        while start < stretch.end:
            inside = start % self.grain
            length = min(self.grain - inside, stretch.end - start)
            self._require_within(grain * SECTOR + 1, grain, grain * SECTOR)
            following = grain + run.stride if start + length < stretch.end else after
            stored = Marker.SIZE + self.grain + self.grain // 1024 + _PLENTY
            if following > grain:
                stored = min(stored, (following - grain) * SECTOR)
            yield Extent(start, length, Kind.CODED, self.file, grain * SECTOR, stored, inside, self._decode)
            start, grain = start + length, grain + run.stride

    def _require_within(self, end: int, grain: int, offset: int) -> None:
        size = self.file.size
        if end > size:
            expected = f"within {size:#x} bytes"
            raise CorruptImageError(
                self.file.name, "grain", found=f"at sector {grain}", expected=expected, offset=offset
            )


def mended(first: array[int], other: array[int], end: int) -> array[int]:
    """Entries that lie at or behind sector ``end`` are replaced by the other table's, where those do not."""
    if first == other:
        return first
    mended = first[:]
    for number, entry in enumerate(first):
        if entry >= end > other[number]:
            mended[number] = other[number]
    return mended


def _behind_marker(decode: Decode, base: int) -> Decode:
    """Grains of a stream: a marker says which sector they are and how long."""

    def decode_marked(extent: Extent, stored: Buffer) -> Buffer:
        image = extent.file.name if extent.file else "image"
        marker = Marker.parse(stored, source=image)
        sector = (extent.start - extent.skip - base) // SECTOR
        if marker.value != sector:
            raise CorruptImageError(
                image, "grain marker", found=f"sector {marker.value}", expected=f"{sector}", offset=extent.at
            )
        end = GRAIN_MARKER_SIZE + marker.size
        if not marker.size or end > len(stored):
            expected = f"1 to {len(stored) - GRAIN_MARKER_SIZE} bytes"
            raise CorruptImageError(
                image, "grain size", found=marker.size, expected=expected, offset=extent.at + Marker.offset_of("size")
            )
        return decode(extent, memoryview(stored)[GRAIN_MARKER_SIZE:end])

    return decode_marked
