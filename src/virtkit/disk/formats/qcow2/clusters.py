"""Clusters of the guest's disk, written and emptied: what an entry says decides whether its cluster can be used again.

One method call covers a stretch within one L2 table; nothing is stored in tables before the image commits.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.disk.format import Kind
from virtkit.disk.formats.qcow2.entries import NO_ROOM, NO_ROOM_OUTSIDE, compressed_place, has_room
from virtkit.disk.formats.qcow2.layout import (
    ALL_SUBCLUSTERS,
    COMPRESSED,
    COPIED,
    OFFSET,
    SUBCLUSTERS,
    ZERO,
    Incompatible,
)
from virtkit.disk.runs import runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.formats.qcow2.allocator import Allocator
    from virtkit.disk.formats.qcow2.encryption import Lock
    from virtkit.disk.formats.qcow2.livetables import LiveTables


class Clusters:
    """``start`` is a byte of the guest's disk, at the start of a cluster where nothing else is said."""

    def __init__(self, tables: LiveTables, allocator: Allocator, data: File, lock: Lock | None) -> None:
        self.tables, self.allocator, self.data, self.lock = tables, allocator, data, lock
        head = tables.head
        self.size, self.span = head.cluster_size, head.l2_span
        self.extended = head.has(Incompatible.EXTENDED_L2)
        self.outside = head.has(Incompatible.DATA_FILE)
        self.words = 2 if self.extended else 1  # of an entry
        self._no_room = NO_ROOM_OUTSIDE if self.outside else NO_ROOM

    def entry(self, start: int) -> tuple[int, int]:
        """The entry of a cluster and the bitmap of its subclusters; 0 where there is none."""
        index, slot = self._slot(start)
        table = self.tables.known(index)
        if table is None:
            return 0, 0
        return table[slot * self.words], table[slot * self.words + 1] if self.extended else 0

    def ours(self, entry: int) -> bool:
        """Whether the cluster that it names is plain and used by nobody else."""
        return bool(entry & COPIED) and not entry & COMPRESSED and has_room(entry, outside=self.outside)

    def put(self, at: int, start: int, data: memoryview) -> None:
        """Guest bytes from ``start`` on, any multiple of a sector, to byte ``at`` of the file."""
        if self.outside:  # a raw data file is as long as the disk
            data = data[: max(self.tables.heading.head.header.size - start, 0)]
        self.data.write(at, self.lock.encrypt(start, at, data) if self.lock else data)

    def write(self, start: int, data: memoryview) -> None:
        """Whole clusters."""
        index, slot = self._slot(start)
        count = len(data) // self.size
        done = 0
        for first, last, entry in self._stretches(index, slot, slot + count):
            part = data[done : done + (last - first) * self.size]
            if entry is None:
                self._write_new(index, first, start + done, part)
            else:
                self.put(entry & OFFSET, start + done, part)
                self._say_written(index, first, last, entry)
            done += len(part)

    def write_subclusters(self, start: int, data: memoryview) -> None:
        """Whole subclusters of one cluster that is ours, or that has none; ``start`` at the first of them."""
        skip, unit = start % self.size, self.size // SUBCLUSTERS
        entry, bitmap = self.entry(start)
        if not self.ours(entry):
            at = self._take(start - skip, 1)[0][0]
            entry = at | COPIED
        self.put((entry & OFFSET) + skip, start, data)
        mask = _mask(skip // unit, (skip + len(data)) // unit)
        self._set(start, entry, (bitmap | mask) & ~(mask << SUBCLUSTERS))

    def copy(self, start: int, data: memoryview, bitmap: int) -> None:
        """The whole of a cluster in a place of its own; with the subclusters that ``bitmap`` names."""
        old, _ = self.entry(start)
        at = self._take(start, 1)[0][0]
        self.put(at, start, data)
        self._set(start, at | COPIED, bitmap)
        self._release(array("Q", (old,)))

    def name_streams(self, start: int, entries: array[int]) -> None:
        """Clusters one after the other are compressed from now on."""
        index, slot = self._slot(start)
        last = slot + len(entries)
        old = self._entries(index, slot, last)
        table = self.tables.change(index, slot * self.words, last * self.words)
        table[slot * self.words : last * self.words : self.words] = entries
        if self.extended:
            table[slot * 2 + 1 : last * 2 : 2] = array("Q", bytes(8 * len(entries)))
        self._release(old)

    def clear(self, start: int, count: int, kind: Kind, *, keep_holes: bool) -> None:
        """Clusters become ZERO or HOLE; with ``keep_holes`` those that are holes stay so."""
        index, slot = self._slot(start)
        table = self.tables.known(index)
        if table is None and (keep_holes or kind is Kind.HOLE):
            return
        if table is None or self._differs(table, slot, slot + count, kind, keep_holes=keep_holes):
            self._fill(index, slot, slot + count, kind)

    def clear_subclusters(self, start: int, length: int, kind: Kind) -> None:
        """Whole subclusters of one cluster that is not compressed."""
        skip, unit = start % self.size, self.size // SUBCLUSTERS
        entry, bitmap = self.entry(start)
        mask = _mask(skip // unit, (skip + length) // unit)
        zeros = mask << SUBCLUSTERS if kind is Kind.ZERO else 0
        changed = bitmap & ~(mask | mask << SUBCLUSTERS) | zeros
        if changed == bitmap:
            return
        if not changed & ALL_SUBCLUSTERS:
            self._set(start, 0, changed)
            self._release(array("Q", (entry,)))
        else:
            self._set(start, entry, changed)

    def empty_table(self, index: int) -> None:
        """All that entry ``index`` of the L1 table describes becomes a hole."""
        table = self.tables.known(index)
        if table is not None:
            entries = table[:: self.words]
            self.tables.drop(index)
            self._release(entries)

    def _slot(self, start: int) -> tuple[int, int]:
        return start // self.span, start % self.span // self.size

    def _set(self, start: int, entry: int, bitmap: int) -> None:
        index, slot = self._slot(start)
        at = slot * self.words
        table = self.tables.change(index, at, at + self.words)
        table[at : at + self.words] = array("Q", (entry, bitmap)[: self.words])

    def _stretches(self, index: int, first: int, last: int) -> Iterator[tuple[int, int, int | None]]:
        """(from, to, entry) of slots: of clusters that can be overwritten, or None where new ones are needed."""
        table = self.tables.known(index)
        if table is None:
            yield first, last, None
            return
        begin = first  # of a stretch that needs new clusters
        entries = table[first * self.words : last * self.words : self.words]
        for run in runs(entries, 0, last - first, self.size, self._no_room):
            if run.stride and self.ours(run.entry):
                if begin < first + run.begin:
                    yield begin, first + run.begin, None
                yield first + run.begin, first + run.end, run.entry
                begin = first + run.end
        if begin < last:
            yield begin, last, None

    def _say_written(self, index: int, first: int, last: int, entry: int) -> None:
        """Clusters that had room were overwritten whole: they are zeros no longer."""
        if not self.extended:
            if entry & ZERO:
                self._set_row(index, first, last, entry & ~ZERO)
            return
        table = self.tables.known(index)
        full = array("Q", (ALL_SUBCLUSTERS,)) * (last - first)
        if table is not None and table[first * 2 + 1 : last * 2 : 2] != full:
            self._set_row(index, first, last, entry)

    def _write_new(self, index: int, slot: int, start: int, data: memoryview) -> None:
        done = 0
        for at, count in self._take(start, len(data) // self.size):
            part = data[done : done + count * self.size]
            self.put(at, start + done, part)
            old = self._entries(index, slot, slot + count)
            self._set_row(index, slot, slot + count, at | COPIED)
            self._release(old)
            slot, done = slot + count, done + len(part)

    def _take(self, start: int, count: int) -> list[tuple[int, int]]:
        """(at, count): places for clusters from ``start`` on. An external data file has one for each."""
        if self.outside:
            return [(start, count)]
        return [(first * self.size, size) for first, size in self.allocator.take(count)]

    def _entries(self, index: int, first: int, last: int) -> array[int]:
        table = self.tables.known(index)
        return array("Q") if table is None else table[first * self.words : last * self.words : self.words]

    def _set_row(self, index: int, first: int, last: int, entry: int) -> None:
        """Clusters one after the other, each of them data."""
        table = self.tables.change(index, first * self.words, last * self.words)
        row = array("Q", range(entry, entry + (last - first) * self.size, self.size))
        table[first * self.words : last * self.words : self.words] = row
        if self.extended:
            table[first * 2 + 1 : last * 2 : 2] = array("Q", (ALL_SUBCLUSTERS,)) * (last - first)

    def _differs(self, table: array[int], first: int, last: int, kind: Kind, *, keep_holes: bool) -> bool:
        wanted = self._empty(kind) * (last - first)
        words = table[first * self.words : last * self.words]
        return words != wanted and not (keep_holes and not any(words))

    def _empty(self, kind: Kind) -> array[int]:
        """An entry."""
        if kind is Kind.HOLE:
            return array("Q", (0, 0)[: self.words])
        return array("Q", (0, ALL_SUBCLUSTERS << SUBCLUSTERS) if self.extended else (ZERO,))

    def _fill(self, index: int, first: int, last: int, kind: Kind) -> None:
        old = self._entries(index, first, last)
        table = self.tables.change(index, first * self.words, last * self.words)
        table[first * self.words : last * self.words] = self._empty(kind) * (last - first)
        self._release(old)

    def _release(self, entries: array[int]) -> None:
        """Give back what entries named that are no more."""
        if self.outside:
            return
        for run in runs(entries, 0, len(entries), self.size, NO_ROOM):
            if run.entry & COMPRESSED:
                for entry in range(run.entry, run.entry + (run.end - run.begin) * self.size, self.size):
                    self._release_compressed(entry)
            elif run.stride:
                self.allocator.free((run.entry & OFFSET) // self.size, run.end - run.begin)

    def _release_compressed(self, entry: int) -> None:
        at, stored = compressed_place(entry, self.tables.head.header.cluster_bits)
        first, last = at // self.size, (at + stored - 1) // self.size
        self.allocator.free(first, last - first + 1)


def _mask(first: int, last: int) -> int:
    """Bits of subclusters [first, last)."""
    return (1 << last) - (1 << first)
