"""Refcounts as they will be: a change of many of them takes effect in one write of the header, or not at all.

Changed blocks are written to new places, a new refcount table names them, and the header names that table together
with whatever else changes (an L1 table, a snapshot table). All of that goes into clusters that were free: killed
before that write, the image is as it was, bit by bit.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.block import Block
from virtkit.disk.formats.qcow2.layout import ENTRY, MAX_REFCOUNT_TABLE_SIZE
from virtkit.disk.formats.qcow2.rooms import Rooms
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.formats.qcow2.allocator import Allocator

_KEPT = 1 << 20  # counts in memory
_WORTH = 4096  # a smaller part of the file is not given back; all tables are one 6554th with clusters of 64 KiB
_FREED = re.compile(rb"\x01+")
_IS_USED = bytes([0] + [1] * 255)  # translation tables
_IS_FREE = bytes([1] + [0] * 255)


class Shadow:
    """All numbers are clusters. Nothing waits in ``allocator`` when one is made, nobody uses that afterwards."""

    def __init__(self, allocator: Allocator) -> None:
        self.allocator, self.file = allocator, allocator.file
        self._places: dict[int, int] = {}  # new ones, by number of the block
        self._blocks: dict[int, Block] = {}  # in memory; what was changed and is not there is at its new place
        self._most = max(_KEPT // allocator.per_block, 2)
        self._freed: dict[int, int] = {}  # by number of the block: clusters of it that became free, or more
        self._due: list[tuple[int, int, int]] = []
        self._rooms = Rooms(allocator)
        self._size = allocator.file.size
        self._switched = False

    def add(self, first: int, count: int, change: int) -> None:
        """CorruptImageError where a count would go below 0, ImageError where it would go too high."""
        for index, begin, _ in self.allocator.parts(first, count):
            self.require(index * self.allocator.per_block + begin)
        self._add(first, count, change)

    def owe(self, first: int, count: int, change: int) -> None:
        """As ``add``, but not before ``switch``."""
        if self._due and self._due[-1][2] == change and sum(self._due[-1][:2]) == first:
            first, count = self._due[-1][0], self._due.pop()[1] + count
        self._due.append((first, count, change))

    def counts(self, first: int, count: int) -> list[int]:
        """Without what is owed."""
        index, skip = divmod(first, self.allocator.per_block)
        if count == 1 and index in self._blocks:
            return [self._blocks[index][skip]]
        found: list[int] = []
        for index, begin, end in self.allocator.parts(first, count):
            found += self._block(index).part(begin, end) if self.place(index) else [0] * (end - begin)
        return found

    def take(self, count: int) -> list[tuple[int, int]]:
        """Runs (first, count) of clusters that were free; from ``switch`` on each is used once."""
        found = self._rooms.take(count)
        for first, size in found:
            self.owe(first, size, 1)
        return found

    def take_row(self, count: int) -> int:
        first = self._rooms.take_row(count)
        self.owe(first, count, 1)
        return first

    def place(self, index: int) -> int:
        """The byte where refcount block ``index`` is now; 0 where there is none."""
        return self._places.get(index, 0) * self.allocator.cluster or self.allocator.place(index)

    def new_place(self, index: int) -> int:
        """The byte where refcount block ``index`` shall be written to, whole."""
        if index not in self._places:
            if old := self.allocator.place(index):
                self.owe(old // self.allocator.cluster, 1, -1)
            ((self._places[index], _),) = self.take(1)
        return self._places[index] * self.allocator.cluster

    def renew(self, index: int) -> None:
        """Refcount block ``index`` gets a new place although it may not change."""
        self._block(index).dirty = True

    def freed(self, index: int, count: int) -> None:
        """Clusters of refcount block ``index`` are used no more; it does not matter whether they were before."""
        self._freed[index] = self._freed.get(index, 0) + count

    def require(self, cluster: int) -> None:
        """CorruptImageError where no refcount block is for a cluster that is in use."""
        if not self.place(cluster // self.allocator.per_block):
            raise self.allocator.refuse(cluster, -1)

    def switch(self, **fields: int) -> None:
        """Everything takes effect, ``fields`` of the header with it. Room that is free now is given back."""
        header, cluster = self.allocator.heading.head.header, self.allocator.cluster
        self.owe(header.refcount_table_offset // cluster, header.refcount_table_clusters, -1)
        self._settle()
        row = size = 0
        while size != (needed := self._table_clusters()):
            if size:
                self.owe(row, size, -1)
            row, size = self.take_row(needed), needed
            self._settle()
        self._store()
        self.file.write(row * cluster, stored_table(self._table(size), endian="big"))
        self.allocator.heading.change(refcount_table_offset=row * cluster, refcount_table_clusters=size, **fields)
        self._switched = True
        self._give_back()

    def forsake(self) -> None:
        """Nothing takes effect, and the file is not longer for it."""
        if not self._switched and not self.file.is_device and self.file.size > self._size:
            self.file.resize(self._size)

    def _add(self, first: int, count: int, change: int) -> None:
        for index, begin, end in self.allocator.parts(first, count):
            if not self._block(index).add(begin, end, change):
                raise self.allocator.refuse(index * self.allocator.per_block + begin, change)
            if change < 0 and (free := self._block(index).used.count(0, begin, end)):
                self.freed(index, free)

    def _block(self, index: int) -> Block:
        if index not in self._blocks:
            if len(self._blocks) >= self._most:
                self._store()
                self._blocks.clear()
            self._blocks[index] = self._loaded(index)
        return self._blocks[index]

    def _loaded(self, index: int) -> Block:
        if index not in self._places and self.allocator.place(index):
            return self.allocator.block(index).copy()
        cluster = self.allocator.cluster
        there = self.file.read(self.place(index), cluster) if self.place(index) else bytes(cluster)
        return Block(there, self.allocator.order)

    def _settle(self) -> None:
        """Count what is owed; new places of the blocks that this changes are owed, too."""
        while self._due:
            due, self._due = self._due, []
            for first, count, change in due:
                self._add(first, count, change)
            for index in [index for index, block in self._blocks.items() if block.dirty]:
                self.new_place(index)

    def _store(self) -> None:
        for index, block in self._blocks.items():
            if block.dirty:
                self.file.write(self.new_place(index), block.pack())
                block.dirty = False

    def _table_clusters(self) -> int:
        entries = max(len(self.allocator.table), max(self._places, default=0) + 1)
        if entries * ENTRY > MAX_REFCOUNT_TABLE_SIZE:
            raise NotSupportedError(
                f"{self.file.name}: has no room for more clusters of {self.allocator.cluster} bytes"
            )
        return divide_up(entries * ENTRY, self.allocator.cluster)

    def _table(self, clusters: int) -> array[int]:
        table = self.allocator.table[:]
        table.extend([0] * (clusters * self.allocator.cluster // ENTRY - len(table)))
        for index, place in self._places.items():
            table[index] = place * self.allocator.cluster
        return table

    def _give_back(self) -> None:
        """Old refcount blocks last: they tell what was in use.

        Of a large image the old tables alone are next to nothing. They stay in the file for what is made next: to give
        back thousands of clusters one by one takes longer than all else.
        """
        cluster = self.allocator.cluster
        if sum(self._freed.values()) * cluster * _WORTH < self.file.size:
            return
        blocks = sorted(self.allocator.place(index) // cluster for index in self._places)
        late: list[tuple[int, int]] = []
        for begin, end in self._given_up():
            place = bisect_left(blocks, begin)
            if place < len(blocks) and blocks[place] < end:
                late.append((begin, end))
            else:
                self.file.discard(begin * cluster, (end - begin) * cluster)
        for begin, end in late:
            self.file.discard(begin * cluster, (end - begin) * cluster)

    def _given_up(self) -> Iterator[tuple[int, int]]:
        """Stretches that were in use and are no more: [from, to)."""
        cluster, order = self.allocator.cluster, self.allocator.order
        for index in sorted(index for index in self._freed if self.allocator.place(index)):
            old = Block(self.file.read(self.allocator.place(index), cluster), order)
            before = old.used.translate(_IS_USED)
            after = self._block(index).used.translate(_IS_FREE)
            both = int.from_bytes(before, "little") & int.from_bytes(after, "little")
            base = index * self.allocator.per_block
            for run in _FREED.finditer(both.to_bytes(len(before), "little")):
                yield base + run.start(), base + run.end()
