"""Where the guest's bytes are in a qcow2 image: L1 table, L2 tables, clusters."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import CorruptImageError
from virtkit.core.units import MIB, divide_up
from virtkit.disk import codecs
from virtkit.disk.format import Extent, Kind
from virtkit.disk.formats.qcow2.entries import NO_ROOM, NO_ROOM_OUTSIDE, compressed_place, has_room, subclusters
from virtkit.disk.formats.qcow2.layout import (
    ALL_SUBCLUSTERS,
    COMPRESSED,
    COPIED,
    ENTRY,
    L2_RESERVED,
    OFFSET,
    SUBCLUSTERS,
    V2,
    ZERO,
    Incompatible,
)
from virtkit.disk.runs import Run, merged, read_table, runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Decode
    from virtkit.disk.formats.qcow2.head import Head

_KEPT = MIB  # bytes of tables in memory
_UNIFORM = {0: Kind.HOLE, ALL_SUBCLUSTERS: Kind.DATA, ALL_SUBCLUSTERS << SUBCLUSTERS: Kind.ZERO}  # bitmaps


class Tables:
    """L2 tables, read when they are needed. Those read last are kept."""

    def __init__(self, file: File, head: Head) -> None:
        self.file, self.head = file, head
        self._read: dict[int, array[int]] = {}  # by their place
        self._most = max(_KEPT // head.cluster_size, 1)

    def get(self, index: int, at: int) -> array[int]:
        """The table at byte ``at``, which entry ``index`` of an L1 table names."""
        table = self._read.get(at)
        if table is None:
            while len(self._read) >= self._most:
                del self._read[next(iter(self._read))]
            table = self._read[at] = self.read(index, at)
        return table

    def read(self, index: int, at: int) -> array[int]:
        """CorruptImageError."""
        cluster, name = self.head.cluster_size, f"L2 table {index}"
        if at % cluster or not at:
            where = self.head.header.l1_offset + ENTRY * index
            raise CorruptImageError(
                self.file.name, name, found=f"at {at:#x}", expected="aligned to clusters", offset=where
            )
        return read_table(self.file, name, at, cluster // ENTRY, code="Q", endian="big")


class Storage(NamedTuple):
    """What entries point into, and how it is read."""

    head: Head
    file: File
    data: File  # of plain clusters: ``file``, or the external data file
    decrypt: Decode | None = None

    @property
    def outside(self) -> bool:
        return self.head.has(Incompatible.DATA_FILE)


class Stretch(NamedTuple):
    """Bytes [start, end) of the guest's disk and where they begin in the file that holds them."""

    start: int
    end: int
    at: int
    room: bool


class GuestMap:
    """What an L1 table says of a guest's disk: the active one, or that of a snapshot."""

    def __init__(self, storage: Storage, l1: array[int], tables: Tables) -> None:
        self.storage, self.l1, self.tables = storage, l1, tables
        self.head = head = storage.head
        self._cluster, self._outside = head.cluster_size, storage.outside  # asked for each run of a torn image
        self._extended = head.has(Incompatible.EXTENDED_L2)
        flagged = head.header.version == V2 or self._extended  # zero flags came with version 3
        self._illegal = L2_RESERVED | (ZERO if flagged else 0)
        self._seen = 0

    def extents(self, start: int, end: int) -> Iterator[Extent]:
        """Cover [start, end); HOLE where the L1 table has already ended. CorruptImageError."""
        return merged(self._extents(start, end)) if start < end else iter(())

    @cached_property
    def _decompress(self) -> Decode:
        return codecs.decoder(self.head.compression, self.head.cluster_size)

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        span, known = self.head.l2_span, len(self.l1)
        for run in runs(self.l1, start // span, min(divide_up(end, span), known), self.head.cluster_size, (0, COPIED)):
            if not run.stride:
                begin = max(start, run.begin * span)
                yield Extent(begin, min(end, run.end * span) - begin, Kind.HOLE)
                continue
            for index in range(run.begin, run.end):
                yield from self._of_table(index, max(start, index * span), min(end, (index + 1) * span))
        if known * span < end:
            begin = max(start, known * span)
            yield Extent(begin, end - begin, Kind.HOLE)

    def _of_table(self, index: int, start: int, end: int) -> Iterator[Extent]:
        """The part [start, end) of what the L2 table ``index`` describes."""
        cluster, base = self._cluster, index * self.head.l2_span
        at = self.l1[index] & OFFSET
        table = self.tables.get(index, at)
        entries, bitmaps = (table[0::2], table[1::2]) if self._extended else (table, None)
        no_room = NO_ROOM_OUTSIDE if self._outside else NO_ROOM
        for run in runs(entries, (start - base) // cluster, divide_up(end - base, cluster), cluster, no_room):
            begin, stop = max(start, base + run.begin * cluster), min(end, base + run.end * cluster)
            if run.entry & COMPRESSED:
                yield from self._compressed(run, base, begin, stop)
                continue
            self._check_entry(run, at)
            if bitmaps is None:
                yield from self._placed(self._stretch(run, base, begin, stop), self._kind(run.entry))
            else:
                yield from self._subdivided(run, bitmaps, base, begin, stop)

    def _kind(self, entry: int) -> Kind:
        if entry & ZERO:
            return Kind.ZERO
        return Kind.DATA if has_room(entry, outside=self._outside) else Kind.HOLE

    def _stretch(self, run: Run, base: int, start: int, end: int) -> Stretch:
        room = has_room(run.entry, outside=self._outside)
        at = (run.entry & OFFSET) + start - base - run.begin * self._cluster
        return Stretch(start, end, at if room else 0, room)

    def _size(self, wanted: int) -> int:
        """Of the file that holds the data; a running guest may have made it longer since it seemed too short."""
        if wanted > self._seen:
            self._seen = self.storage.data.size
        return self._seen

    def _check_entry(self, run: Run, table_at: int) -> None:
        """Standard entries. As QEMU has it, the last cluster of the file may lie partly behind its end."""
        cluster, offset = self._cluster, run.entry & OFFSET
        end = offset + (run.end - run.begin) * cluster
        if run.entry & self._illegal:
            expected = "no reserved bits"
        elif offset % cluster:
            expected = f"a multiple of {cluster:#x}"
        elif not self._outside and offset and end >= (size := self._size(end)) + cluster:
            expected = f"clusters within {size:#x} bytes"
        else:
            return
        where = table_at + self.head.entry_size * run.begin
        raise CorruptImageError(
            self.storage.file.name, "L2 entry", found=f"{run.entry:#x}", expected=expected, offset=where
        )

    def _subdivided(self, run: Run, bitmaps: array[int], base: int, start: int, end: int) -> Iterator[Extent]:
        """Extended entries, by runs of equal bitmaps."""
        cluster = self.head.cluster_size
        unit = cluster // SUBCLUSTERS
        for same in runs(bitmaps, run.begin, run.end, 0, ()):
            begin, stop = max(start, base + same.begin * cluster), min(end, base + same.end * cluster)
            if begin >= stop:
                continue
            kinds = subclusters(same.entry)
            if not kinds or (same.entry & ALL_SUBCLUSTERS and not has_room(run.entry, outside=self._outside)):
                raise CorruptImageError(
                    self.storage.file.name,
                    "subclusters",
                    found=f"{same.entry:#018x}",
                    expected="each allocated or zeros, not both, and allocated in a cluster alone",
                    offset=base + same.begin * cluster,
                )
            if (kind := _UNIFORM.get(same.entry)) is not None:
                yield from self._placed(self._stretch(run, base, begin, stop), kind)
                continue
            for origin in range(base + same.begin * cluster, base + same.end * cluster, cluster):
                for first, last, part in kinds:
                    one, other = max(start, origin + first * unit), min(end, origin + last * unit)
                    if one < other:
                        yield from self._placed(self._stretch(run, base, one, other), part)

    def _placed(self, stretch: Stretch, kind: Kind) -> Iterator[Extent]:
        start, length, at = stretch.start, stretch.end - stretch.start, stretch.at
        data = self.storage.data
        if kind is Kind.HOLE or (kind is Kind.ZERO and not stretch.room):
            yield Extent(start, length, kind)
        elif kind is Kind.ZERO:
            yield Extent(start, length, kind, data, at, preallocated=True)
        else:
            there = max(min(length, self._size(at + length) - at), 0)
            if there and self.storage.decrypt:
                yield from self._encrypted(stretch, there)
            elif there:
                yield Extent(start, there, kind, data, at)
            if there < length:
                yield Extent(start + there, length - there, Kind.ZERO, data, at + there, preallocated=True)

    def _encrypted(self, stretch: Stretch, length: int) -> Iterator[Extent]:
        """One extent for each cluster, the whole of which is decrypted."""
        cluster, start, end = self.head.cluster_size, stretch.start, stretch.start + length
        while start < end:
            skip = start % cluster
            part = min(cluster - skip, end - start)
            at = stretch.at + start - stretch.start - skip
            yield Extent(start, part, Kind.CODED, self.storage.data, at, cluster, skip, self.storage.decrypt)
            start += part

    def _compressed(self, run: Run, base: int, start: int, end: int) -> Iterator[Extent]:
        cluster = self.head.cluster_size
        index = (start - base) // cluster
        entry = run.entry + (index - run.begin) * run.stride
        while start < end:
            at, stored = compressed_place(entry, self.head.header.cluster_bits)
            if at >= (size := self._size(at + 1)):
                raise CorruptImageError(
                    self.storage.file.name,
                    "compressed cluster",
                    found=f"at {at:#x}",
                    expected=f"within {size:#x} bytes",
                    offset=at,
                )
            skip = start % cluster
            length = min(cluster - skip, end - start)
            yield Extent(start, length, Kind.CODED, self.storage.file, at, stored, skip, self._decompress)
            start, entry = start + length, entry + run.stride
