"""A qcow2 image that is written in place.

What is written waits in memory as counts and tables; ``commit`` stores it in the one order that no crash can hurt:
data and counts that grow, then tables, then the L1 table, then counts that shrink. See ``LiveImage`` for the promises.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import ImageError, NotSupportedError
from virtkit.core.units import MIB, divide_up, format_size, round_down, round_up
from virtkit.disk import merge
from virtkit.disk.format import Kind
from virtkit.disk.formats.qcow2 import livebitmaps
from virtkit.disk.formats.qcow2.allocator import Allocator
from virtkit.disk.formats.qcow2.clusters import Clusters
from virtkit.disk.formats.qcow2.facts import read_facts
from virtkit.disk.formats.qcow2.head import read_head
from virtkit.disk.formats.qcow2.heading import Heading
from virtkit.disk.formats.qcow2.image import Qcow2Image
from virtkit.disk.formats.qcow2.layout import (
    ALL_SUBCLUSTERS,
    AUTOCLEAR_BITMAPS,
    AUTOCLEAR_RAW_DATA_FILE,
    COMPRESSED,
    ENTRY,
    LAZY_REFCOUNTS,
    MAX_L1_SIZE,
    OFFSET,
    SUBCLUSTERS,
    V2,
    ZERO,
    Incompatible,
)
from virtkit.disk.formats.qcow2.livetables import LiveTables
from virtkit.disk.formats.qcow2.overlap import metadata_clusters
from virtkit.disk.formats.qcow2.recording import Recorder
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.format import Bitmap, Buffer, Facts, Image, Reference, Stretch
    from virtkit.disk.formats.qcow2.head import Head

_KNOWN_AUTOCLEAR = AUTOCLEAR_BITMAPS | AUTOCLEAR_RAW_DATA_FILE
_STEP = 4 * MIB  # bytes of zeros written at once
_MOST_WAITING = 1 << 16  # stretches given back before they are settled


class WrittenQcow2(Qcow2Image):
    def __init__(self, file: File, head: Head, access: Access) -> None:
        self.heading = Heading(file, head)
        super().__init__(file, head, access)
        _refuse_corrupt(file, head)
        self._changing = False

    @property
    def head(self) -> Head:
        return self.heading.head

    @property
    def facts(self) -> Facts:
        return read_facts(self.file, self.head)

    @cached_property
    def allocator(self) -> Allocator:
        return Allocator(self.heading, lambda table: metadata_clusters(self.heading.head, self.l1, table))

    @cached_property
    def tables(self) -> LiveTables:
        return LiveTables(self.heading, self.allocator, self.l1)

    @cached_property
    def clusters(self) -> Clusters:
        return Clusters(self.tables, self.allocator, self.data, self.lock)

    def reload(self) -> None:
        """What is in memory of the tables is forgotten: the header names others."""
        for name in ("allocator", "tables", "clusters", "l1", "storage", "map"):
            self.__dict__.pop(name, None)

    def write(self, start: int, data: Buffer) -> None:
        self.begin()
        view = memoryview(data).cast("B")
        self.recorder.note(start, len(view))
        self._write_pieces(start, view)

    def write_state(self, start: int, data: bytes) -> None:
        """Whole clusters behind the end of the disk, where a snapshot keeps a machine's state."""
        self.begin()
        self._write_pieces(start, memoryview(data))

    def _write_pieces(self, start: int, view: memoryview) -> None:
        span = self.head.l2_span
        for begin, end in _pieces(start, start + len(view), span):
            self._write(begin, view[begin - start : end - start])
            self.commit_in_time()

    def zero(self, start: int, length: int) -> None:
        if self.head.header.version == V2 and self.head.backing:
            for begin, end in _pieces(start, start + length, _STEP):
                self.write(begin, bytes(end - begin))
        else:
            self._clear(start, length, Kind.HOLE if self.head.header.version == V2 else Kind.ZERO)

    def discard(self, start: int, length: int) -> None:
        if self.head.header.version > V2 or not self.head.backing:
            self.zero(start, length)

    def forget(self, start: int, length: int) -> None:
        self._clear(start, length, Kind.HOLE)

    def flush(self) -> None:
        self.commit()
        self.recorder.store()
        if self._changing:
            self.allocator.store()
        if self.data is not self.file:
            self.data.sync()
        self.file.sync()
        if self._changing and self.head.has(Incompatible.DIRTY):
            self.heading.change(incompatible=self.head.features.incompatible & ~Incompatible.DIRTY)
        self._changing = False

    def begin(self) -> None:
        """Before the first change since ``flush``: the header says what a program that finds it must know."""
        if self._changing:
            return
        if self.head.has(Incompatible.DIRTY):
            self._rebuild()
        features = self.head.features
        wanted = {"autoclear": features.autoclear & _KNOWN_AUTOCLEAR, "incompatible": features.incompatible}
        if features.compatible & LAZY_REFCOUNTS:
            wanted["incompatible"] |= Incompatible.DIRTY
        if any(getattr(features, name) != value for name, value in wanted.items()):
            self.heading.change(**wanted)
        self._changing = True

    def _rebuild(self) -> None:
        """Who wrote last has left refcounts behind that may be wrong; as QEMU, we do not ask before mending them."""
        from virtkit.disk.formats.qcow2.repair import repair  #  sound images do without

        left = repair(self.file, leaks_only=False)
        if left.corruptions or left.leaks:
            raise ImageError(
                f"{self.file.name}: is marked dirty, and {left.corruptions} faults cannot be mended",
                hint=f"virtkit disk check {self.file.name}",
            )
        self.heading.head = read_head(self.file)
        self.reload()

    def commit(self) -> None:
        """Store what waits; afterwards what was given back may be used again."""
        if not self._changing:
            return
        if self.tables.changed:
            self.allocator.store()
            self._sync_data()
            self.tables.store()
        if self.allocator.waiting:
            self._sync_data()
            self.allocator.settle()

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        if backing and self.head.features.autoclear & AUTOCLEAR_RAW_DATA_FILE:
            raise NotSupportedError(f"{self.file.name}: has a raw external data file, so it can have no backing file")
        self.begin()
        self.commit()
        self.heading.set_backing(backing)

    @cached_property
    def recorder(self) -> Recorder:
        return Recorder(self)

    def bitmaps(self) -> list[Bitmap]:
        return self.recorder.listed()

    def read_bitmap(self, name: str) -> Iterator[Stretch]:
        return self.recorder.read(name)

    def store_bitmap(self, bitmap: Bitmap, dirty: Iterable[Stretch]) -> None:
        livebitmaps.store(self, bitmap, dirty)

    def delete_bitmap(self, name: str) -> None:
        livebitmaps.delete(self, name)

    def resize(self, size: int) -> None:
        self._refuse_resize()
        self.begin()
        suspended = self.recorder.suspend()
        if size < self.size:
            self._shrink(size)
        elif size > self.size:
            self._grow(size)
        self.recorder.resume(suspended)

    def commit_in_time(self) -> None:
        if self.tables.full or self.allocator.waiting > _MOST_WAITING:
            self.commit()

    def _sync_data(self) -> None:
        self.file.sync_data()
        if self.data is not self.file:
            self.data.sync_data()

    def _write(self, start: int, data: memoryview) -> None:
        """Within one L2 table: whole clusters in one go, those at the edges alone."""
        end, cluster = start + len(data), self.head.cluster_size
        first, last = round_up(start, cluster), round_down(end, cluster)
        if first > last:
            self._write_part(start, data)
            return
        if start < first:
            self._write_part(start, data[: first - start])
        if first < last:
            self.clusters.write(first, data[first - start : last - start])
        if last < end:
            self._write_part(last, data[last - start :])

    def _write_part(self, start: int, data: memoryview) -> None:
        """A part of a cluster."""
        cluster = self.head.cluster_size
        entry, bitmap = self.clusters.entry(start)
        if self.head.has(Incompatible.EXTENDED_L2):
            self._write_subclusters(start, data, entry, bitmap)
        elif self.clusters.ours(entry) and not entry & ZERO:
            self.clusters.put((entry & OFFSET) + start % cluster, start, data)
        else:
            start, whole = merge.whole_units(self, start, data, cluster)
            self.clusters.write(start, memoryview(whole))

    def _write_subclusters(self, start: int, data: memoryview, entry: int, bitmap: int) -> None:
        cluster = self.head.cluster_size
        if self.clusters.ours(entry) or not entry & (OFFSET | COMPRESSED):
            start, whole = merge.whole_units(self, start, data, self.unit)
            self.clusters.write_subclusters(start, memoryview(whole))
            return
        first, last = start % cluster // self.unit, divide_up(start % cluster + len(data), self.unit)
        written = (1 << last) - (1 << first)
        kept = ALL_SUBCLUSTERS if entry & COMPRESSED else bitmap & ~(written << SUBCLUSTERS)
        start, whole = merge.whole_units(self, start, data, cluster)
        self.clusters.copy(start, memoryview(whole), kept | written)

    def _clear(self, start: int, length: int, kind: Kind) -> None:
        self.begin()
        self.recorder.note(start, length)
        end = round_up(start + length, self.unit)
        may_skip = kind is Kind.HOLE or not self.head.backing  # what has no table
        raw = bool(self.head.features.autoclear & AUTOCLEAR_RAW_DATA_FILE)
        if raw:
            self.data.zero(start, length)
        for begin, stop in self._tabled(start, end) if may_skip else _pieces(start, end, self.head.l2_span):
            self._clear_in_table(begin, stop, kind)
            self.commit_in_time()
        if self.data is not self.file and not raw:
            self.commit()  # no table names the data any more when it is gone
            self.data.discard(start, length)

    def _tabled(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The pieces of [start, end) that have an L2 table each."""
        span = self.head.l2_span
        for run in runs(self.l1, start // span, min(divide_up(end, span), len(self.l1)), self.head.cluster_size, (0,)):
            for index in range(run.begin, run.end) if run.stride else ():
                yield max(start, index * span), min(end, (index + 1) * span)

    def _clear_in_table(self, start: int, end: int, kind: Kind) -> None:
        cluster = self.head.cluster_size
        first, last = round_up(start, cluster), round_down(end, cluster)
        if first > last:
            self._clear_part(start, end, kind)
            return
        if start < first:
            self._clear_part(start, first, kind)
        if kind is Kind.HOLE and last - first == self.head.l2_span:
            self.clusters.empty_table(first // self.head.l2_span)
        elif first < last:
            self.clusters.clear(first, (last - first) // cluster, kind, keep_holes=not self.head.backing)
        if last < end:
            self._clear_part(last, end, kind)

    def _clear_part(self, start: int, end: int, kind: Kind) -> None:
        """Subclusters of one cluster. A compressed one is unpacked first."""
        entry, _ = self.clusters.entry(start)
        if entry & COMPRESSED:
            whole = round_down(start, self.head.cluster_size)
            self.clusters.write(whole, memoryview(self._read_whole(whole)))
        self.clusters.clear_subclusters(start, end - start, kind)

    def _read_whole(self, start: int) -> bytearray:
        room = bytearray(self.head.cluster_size)
        known = min(self.size - start, len(room))
        room[:known] = merge.read(self, start, known)
        return room

    def _refuse_resize(self) -> None:
        name = self.file.name
        if self.head.header.version == V2 and self.head.header.snapshot_count:  # a snapshot has no size there
            raise NotSupportedError(
                f"{name}: is of version 2 and has snapshots, which would change their size with the disk",
                hint=f"virtkit disk amend -o compat=1.1 {name}",
            )

    def _shrink(self, size: int) -> None:
        """The tail is emptied first: it must not come back when the disk grows again."""
        kept = min(round_up(size, self.unit), self.size)
        self._blank(size, kept)
        if kept < self.size:
            self.forget(kept, self.size - kept)
        self.drop_tables(divide_up(size, self.head.l2_span))
        self.commit()
        self.heading.change(size=size)
        if self.head.features.autoclear & AUTOCLEAR_RAW_DATA_FILE:
            self.data.resize(size)

    def _grow(self, size: int) -> None:
        before, span = self.size, self.head.l2_span
        needed = divide_up(size, span)
        if needed * ENTRY > MAX_L1_SIZE:
            most = MAX_L1_SIZE // ENTRY * span
            raise NotSupportedError(
                f"{self.file.name}: disk size is {size} bytes, expected at most {most} ({format_size(most)})"
                f" with clusters of {format_size(self.head.cluster_size)}"
            )
        self.drop_tables(divide_up(before, span))
        if needed > len(self.l1):
            self.grow_l1(needed)
        if self.head.features.autoclear & AUTOCLEAR_RAW_DATA_FILE:
            self.data.resize(size)
        self._blank(before, min(round_up(before, self.head.cluster_size), size))
        self.commit()
        self.heading.change(size=size)

    def _blank(self, start: int, end: int) -> None:
        """Zeros in part of a unit, where it holds something."""
        for extent in list(self.map.extents(start, end)):
            if extent.kind in {Kind.DATA, Kind.CODED}:
                self.write(extent.start, bytes(extent.length))

    def drop_tables(self, first: int) -> None:
        """Tables from ``first`` on are behind the end of the disk: an old machine state, or nothing."""
        for index in range(first, len(self.l1)):
            if self.l1[index]:
                self.clusters.empty_table(index)
        self.commit()

    def grow_l1(self, entries: int) -> None:
        """A longer L1 table is written whole, then the header names it."""
        self.commit()
        cluster, header = self.head.cluster_size, self.head.header
        count = divide_up(entries * ENTRY, cluster)
        first = self.allocator.take_row(count)
        self.l1.extend([0] * (entries - len(self.l1)))
        self.allocator.store()
        self.file.write(first * cluster, stored_table(self.l1, endian="big").ljust(count * cluster, b"\0"))
        self.heading.change(l1_offset=first * cluster, l1_size=entries)
        if header.l1_size:
            self.allocator.free(header.l1_offset // cluster, divide_up(header.l1_size * ENTRY, cluster))


def _pieces(start: int, end: int, span: int) -> Iterator[tuple[int, int]]:
    """[start, end) cut at multiples of ``span``."""
    while start < end:
        stop = min(round_down(start, span) + span, end)
        yield start, stop
        start = stop


def _refuse_corrupt(file: File, head: Head) -> None:
    if head.has(Incompatible.CORRUPT):
        raise ImageError(
            f"{file.name}: is marked corrupt, expected a sound image to write to",
            hint=f"virtkit disk repair {file.name}",
        )
