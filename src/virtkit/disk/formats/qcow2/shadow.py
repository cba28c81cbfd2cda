"""Refcounts as they will be: a change of many of them takes effect in one write of the header, or not at all.

Changed blocks are written to new places, a new refcount table names them, and the header names that table together
with whatever else changes (an L1 table, a snapshot table). Killed before that write, the image is as it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.layout import ENTRY
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.formats.qcow2.allocator import Allocator
    from virtkit.disk.formats.qcow2.block import Block

_FREED = re.compile(rb"\x01+")
_IS_USED = bytes([0] + [1] * 255)  # translation tables
_IS_FREE = bytes([1] + [0] * 255)


class Shadow:
    """All numbers are clusters. Nothing waits in ``allocator`` when one is made, nobody uses that afterwards."""

    def __init__(self, allocator: Allocator) -> None:
        self.allocator = allocator
        self._blocks: dict[int, Block] = {}

    def add(self, first: int, count: int, change: int) -> None:
        """CorruptImageError where a count would go below 0, ImageError where it would go too high."""
        for index, begin, end in self.allocator.parts(first, count):
            if not self.allocator.place(index) or not self._block(index).add(begin, end, change):
                raise self.allocator.refuse(index * self.allocator.per_block + begin, change)

    def counts(self, first: int, count: int) -> list[int]:
        found: list[int] = []
        for index, begin, end in self.allocator.parts(first, count):
            there = self.allocator.place(index)
            found += self._block(index).part(begin, end) if there else [0] * (end - begin)
        return found

    def renew(self, index: int) -> None:
        """Refcount block ``index`` gets a new place although it may not change."""
        self._block(index)

    def take(self, count: int) -> list[int]:
        """Free clusters, each counted once from now on."""
        known = set(self._blocks)
        found: list[int] = []
        for first, size in self.allocator.take(count):
            self._mirror(known, first, size)
            found += range(first, first + size)
        return found

    def take_row(self, count: int) -> int:
        known = set(self._blocks)
        first = self.allocator.take_row(count)
        self._mirror(known, first, count)
        return first

    def switch(self, **fields: int) -> None:
        """Everything takes effect, ``fields`` of the header with it. The room of what is free now is given back."""
        allocator = self.allocator
        cluster = allocator.cluster
        spare, row = self._rooms()
        for first, count in allocator.given_back():
            self.add(first, count, -1)
        header = allocator.heading.head.header
        self.add(header.refcount_table_offset // cluster, header.refcount_table_clusters, -1)
        places = self._settle(spare)
        table = allocator.table[:]
        for index, place in places.items():
            allocator.file.write(place * cluster, self._blocks[index].pack())
            table[index] = place * cluster
        allocator.store()
        allocator.file.write(row * cluster, stored_table(table, endian="big"))
        size = len(table) * ENTRY // cluster
        freed = list(self._freed())
        allocator.heading.change(refcount_table_offset=row * cluster, refcount_table_clusters=size, **fields)
        for begin, end in freed:
            allocator.file.discard(begin * cluster, (end - begin) * cluster)

    def _block(self, index: int) -> Block:
        if index not in self._blocks:
            self._blocks[index] = self.allocator.block(index).copy()
        return self._blocks[index]

    def _mirror(self, known: set[int], first: int, count: int) -> None:
        """What the allocator has counted is counted here too, where the block had been copied before."""
        for index, begin, end in self.allocator.parts(first, count):
            if index in known:
                self._blocks[index].add(begin, end, 1)

    def _rooms(self) -> tuple[list[int], int]:
        """Clusters for all blocks that there are, and a row for the table. Taking them may make more of both."""
        spare: list[int] = []
        row = size = 0
        while True:
            blocks = sum(1 for entry in self.allocator.table if entry)
            needed = divide_up(len(self.allocator.table) * ENTRY, self.allocator.cluster)
            if len(spare) >= blocks and size == needed:
                return spare, row
            if size:
                self.add(row, size, -1)
            spare += self.take(max(blocks - len(spare), 0))
            row, size = self.take_row(needed), needed

    def _settle(self, spare: list[int]) -> dict[int, int]:
        """A place for each block that changes; giving back old places and spare ones changes more of them."""
        places: dict[int, int] = {}
        while True:
            for index in [index for index in self._blocks if index not in places]:
                places[index] = spare.pop()
                self.add(self.allocator.place(index) // self.allocator.cluster, 1, -1)
            if len(places) < len(self._blocks):
                continue
            if not spare:
                return places
            index = spare[-1] // self.allocator.per_block
            if index in places:
                self.add(spare.pop(), 1, -1)
            else:
                self._block(index)

    def _freed(self) -> Iterator[tuple[int, int]]:
        """Stretches that were in use and are no more: [from, to)."""
        for index, block in self._blocks.items():
            before = self.allocator.block(index).used.translate(_IS_USED)
            after = block.used.translate(_IS_FREE)
            both = int.from_bytes(before, "little") & int.from_bytes(after, "little")
            base = index * self.allocator.per_block
            for run in _FREED.finditer(both.to_bytes(len(before), "little")):
                yield base + run.start(), base + run.end()
