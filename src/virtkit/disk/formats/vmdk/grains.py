"""Where the guest's bytes are in a sparse VMDK: grain directory, grain tables, grains."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk import codecs
from virtkit.disk.format import Extent, Facts, Kind, Reference
from virtkit.disk.formats.vmdk.layout import (
    ENTRY,
    FLAG_MARKERS,
    FLAG_ZEROED_GRAINS,
    GRAIN_MARKER_SIZE,
    ZEROED_GTE,
    Header,
    Marker,
)
from virtkit.disk.runs import Run, merged, read_table, runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Decode
    from virtkit.disk.formats.vmdk.descriptor import Descriptor

_PLENTY = 64  # bytes; deflate grows what it cannot shrink by 5 in 16 KiB, and the header and checksum are 6


class VmdkImage:
    def __init__(self, file: File, header: Header, descriptor: Descriptor) -> None:
        self.file = file
        self.files = (file,)
        self.header = header
        self.descriptor = descriptor
        self.size = header.capacity * SECTOR
        self._grain = header.grain_size * SECTOR

    @property
    def backing(self) -> Reference | None:
        parent = self.descriptor.parent
        return Reference(parent, "vmdk") if parent else None

    @property
    def facts(self) -> Facts:
        extent: dict[str, object] = {
            "filename": self.file.name,
            "format": "",  # as qemu-img has it where there is one file only
            "virtual-size": self.size,
            "cluster-size": self._grain,
            **({"compressed": True} if self.header.compressed else {}),
        }
        parent_cid = 0xFFFF_FFFF if self.descriptor.parent_cid is None else self.descriptor.parent_cid
        specific: dict[str, object] = {
            "create-type": self.descriptor.create_type,
            "cid": self.descriptor.cid,
            "parent-cid": parent_cid,
            "extents": [extent],
        }
        return Facts(cluster_size=self._grain, compressed=self.header.compressed, specific=specific)

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        return merged(self._extents(start, start + length)) if length else iter(())

    def close(self) -> None:
        self.file.close()

    @cached_property
    def _directory(self) -> array[int]:
        at = self.header.directory_offset * SECTOR
        return read_table(self.file, "grain directory", at, self.header.tables, code="I", endian="little")

    @cached_property
    def _special(self) -> tuple[int, ...]:
        return (0, ZEROED_GTE) if self.header.flags & FLAG_ZEROED_GRAINS else (0,)

    @cached_property
    def _decode(self) -> Decode:
        if self.header.flags & FLAG_MARKERS:
            return _behind_marker(codecs.decoder("vmdk", self._grain))
        return codecs.decoder("vmdk", self._grain)

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        span = self.header.table_span
        step = divide_up(self.header.gtes_per_gt * ENTRY, SECTOR)
        for run in runs(self._directory, start // span, divide_up(end, span), step, (0,)):
            if not run.stride:
                begin = max(start, run.begin * span)
                yield Extent(begin, min(end, run.end * span) - begin, Kind.HOLE)
                continue
            for index in range(run.begin, run.end):
                yield from self._extents_of_table(index, max(start, index * span), min(end, (index + 1) * span))

    def _extents_of_table(self, index: int, start: int, end: int) -> Iterator[Extent]:
        """The part [start, end) of what the grain table ``index`` describes."""
        base = index * self.header.table_span
        at = self._directory[index] * SECTOR
        table = read_table(self.file, f"grain table {index}", at, self.header.gtes_per_gt, code="I", endian="little")
        first, last = (start - base) // self._grain, divide_up(end - base, self._grain)
        for run in runs(table, first, last, self.header.grain_size, self._special):
            begin = max(start, base + run.begin * self._grain)
            skip = begin - base - run.begin * self._grain
            stretch = Extent(begin, min(end, base + run.end * self._grain) - begin, Kind.HOLE)
            if not run.entry:
                yield stretch
            elif not run.stride:
                yield stretch._replace(kind=Kind.ZERO)
            elif self.header.compressed:
                yield from self._compressed(run, stretch, skip, table[run.end] if run.end < len(table) else 0)
            else:
                yield self._plain(run, stretch, skip, at)

    def _plain(self, run: Run, stretch: Extent, skip: int, table_at: int) -> Extent:
        at = run.entry * SECTOR + skip
        self._require_within(at + stretch.length, run.entry, table_at + ENTRY * run.begin)
        return stretch._replace(kind=Kind.DATA, file=self.file, at=at)

    def _compressed(self, run: Run, stretch: Extent, skip: int, after: int) -> Iterator[Extent]:
        """Grains as coded extents. How long one is stands in front of it; the next one says how long at most."""
        start, grain = stretch.start, run.entry + skip // self._grain * run.stride
        while start < stretch.end:
            inside = start % self._grain
            length = min(self._grain - inside, stretch.end - start)
            self._require_within(grain * SECTOR + 1, grain, grain * SECTOR)
            following = grain + run.stride if start + length < stretch.end else after
            stored = Marker.SIZE + self._grain + self._grain // 1024 + _PLENTY
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


def _behind_marker(decode: Decode) -> Decode:
    """Grains of a stream: a marker says which sector they are and how long."""

    def decode_marked(extent: Extent, stored: Buffer) -> Buffer:
        image = extent.file.name if extent.file else "image"
        marker = Marker.parse(stored, source=image)
        sector = (extent.start - extent.skip) // SECTOR
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
