"""Clusters of an image that is written: taken, shared, given back.

Killed at any moment, a cluster may be counted too often, never too seldom: counts that grow are stored before an entry
names the cluster, and clusters that were given back are counted down, and used again, when the entries that named them
have been stored (``settle``).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, ImageError, NotSupportedError
from virtkit.core.units import divide_up
from virtkit.disk.formats.qcow2.block import Block
from virtkit.disk.formats.qcow2.layout import ENTRY, MAX_REFCOUNT_TABLE_SIZE, REFCOUNT_TABLE_RESERVED
from virtkit.disk.runs import read_table, stored_table

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable

    from virtkit.disk.formats.qcow2.heading import Heading

_KEPT = 1 << 21  # counts in memory, besides those that have to be stored


class Allocator:
    """``metadata``: the clusters that hold tables, sorted; asked for once. All numbers are clusters."""

    def __init__(self, heading: Heading, metadata: Callable[[array[int]], list[int]]) -> None:
        self.heading, self.file = heading, heading.file
        self.cluster = heading.head.cluster_size
        self.order = heading.head.features.refcount_order
        self.per_block = self.cluster * 8 >> self.order
        header = heading.head.header
        entries = header.refcount_table_clusters * self.cluster // ENTRY
        at = header.refcount_table_offset
        self.table = read_table(self.file, "refcount table", at, entries, code="Q", endian="big")
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._new: list[int] = []  # blocks that the stored table does not name yet
        self._freed: list[tuple[int, int]] = []
        self._cursor = 0  # no cluster before is free
        self._metadata = metadata
        self._tables: list[int] | None = None
        self._verified: set[int] = set()

    @property
    def waiting(self) -> int:
        """How many stretches were given back since ``settle``."""
        return len(self._freed)

    def take(self, count: int) -> list[tuple[int, int]]:
        """Runs (first, count) of free clusters, each now counted once."""
        found: list[tuple[int, int]] = []
        while count:
            first, size = self._next_free(count)
            self._add(first, size, 1)
            self._cursor = first + size
            found.append((first, size))
            count -= size
        return found

    def take_below(self, limit: int) -> int | None:
        """The first free cluster, if it comes before ``limit``; nothing is made longer for it."""
        index, skip = divmod(self._cursor, self.per_block)
        while index * self.per_block + skip < limit:
            run = self.block(index).free_run(skip, 1) if self.place(index) else None
            if run:
                first = index * self.per_block + run[0]
                if first >= limit:
                    return None
                self._add(first, 1, 1)
                self._cursor = first + 1
                return first
            index, skip = index + 1, 0
        return None

    def take_row(self, count: int) -> int:
        """The first of ``count`` clusters one after the other."""
        for index in range(len(self.table)):
            if not self.place(index):
                continue
            begin = self.block(index).used.find(bytes(count))
            if begin >= 0:
                first = index * self.per_block + begin
                self._add(first, count, 1)
                return first
        first = self.end()
        self._extend(first, count)
        self._add(first, count, 1)
        return first

    def free(self, first: int, count: int, times: int = 1) -> None:
        """Each is used ``times`` less, as soon as the tables that no longer name it are stored."""
        if self._freed and times == 1 and sum(self._freed[-1]) == first:
            first, count = self._freed[-1][0], self._freed.pop()[1] + count
        self._freed += [(first, count)] * times

    def keep(self) -> None:
        """Nothing that was given back is free after all."""
        self._freed.clear()

    def share(self, first: int, count: int, times: int = 1) -> None:
        """Each is used ``times`` more."""
        if times:
            self._add(first, count, times)

    def given_back(self) -> list[tuple[int, int]]:
        """What ``settle`` would count down."""
        return list(self._freed)

    def count(self, cluster: int) -> int:
        index, skip = divmod(cluster, self.per_block)
        return self.block(index)[skip] if self.place(index) else 0

    def used(self) -> int:
        """How many are used."""
        blocks = [index for index in range(len(self.table)) if self.place(index)]
        return sum(self.per_block - self.block(index).used.count(0) for index in blocks)

    def end(self) -> int:
        """Behind the last cluster that is used."""
        for index in range(len(self.table) - 1, -1, -1):
            if self.place(index) and (used := len(self.block(index).used.rstrip(b"\0"))):
                return index * self.per_block + used
        return 0

    def store(self) -> None:
        """Write the counts. Blocks are on stable storage before the table names them."""
        self._store_blocks()
        if self._new:
            self.file.sync_data()
            at = self.heading.head.header.refcount_table_offset
            for index in self._new:
                self.file.write(at + index * ENTRY, stored_table(self.table[index : index + 1], endian="big"))
            self._new.clear()

    def settle(self) -> None:
        """What was given back may be used again: no stored table names it. Its room in the file is given back too."""
        self._freed.sort(reverse=True)
        while self._freed:
            first, count = self._freed.pop()
            while self._freed and self._freed[-1][0] == first + count:
                count += self._freed.pop()[1]
            self._add(first, count, -1)
            self._cursor = min(self._cursor, first)
            for begin, end in self.free_runs(first, count):
                self.file.discard(begin * self.cluster, (end - begin) * self.cluster)

    def free_runs(self, first: int, count: int) -> list[tuple[int, int]]:
        """The free ones among clusters [first, first + count), as [from, to)."""
        found: list[tuple[int, int]] = []
        for index, begin, end in self.parts(first, count):
            base = index * self.per_block
            found += [(base + one, base + other) for one, other in self.block(index).free_runs(begin, end)]
        return found

    def block(self, index: int) -> Block:
        """CorruptImageError where it counts a table as free: that would be given away and overwritten."""
        if index in self._blocks:
            self._blocks.move_to_end(index)
            return self._blocks[index]
        at = self.place(index)
        data = self.file.read(at, self.cluster)
        if not at or at % self.cluster or len(data) < self.cluster:
            raise self.corrupt(f"refcount block {index}", f"at {at:#x}", "a cluster within the file", at)
        counts = Block(data, self.order)
        if index not in self._verified:
            self._verify(index, counts)
        self._keep(index, counts)
        return counts

    def place(self, index: int) -> int:
        """The byte where refcount block ``index`` is; 0 where there is none."""
        return self.table[index] & ~REFCOUNT_TABLE_RESERVED if index < len(self.table) else 0

    def _keep(self, index: int, counts: Block) -> None:
        most = max(_KEPT // self.per_block, 2)
        if len(self._blocks) >= 2 * most:  # what went down here is named by no stored table any more: see ``settle``
            for old in list(self._blocks)[:most]:
                self._store_block(old, self._blocks.pop(old))
        self._blocks[index] = counts

    def _verify(self, index: int, counts: Block) -> None:
        from bisect import bisect_left

        if self._tables is None:
            self._tables = self._metadata(self.table)
        first = index * self.per_block
        for at in range(bisect_left(self._tables, first), bisect_left(self._tables, first + self.per_block)):
            if not counts.used[self._tables[at] - first]:
                where = self._tables[at] * self.cluster
                raise self.corrupt("refcount of a table", "0", "1 at least", where)
        self._verified.add(index)

    def corrupt(self, field: str, found: str, expected: str, at: int) -> CorruptImageError:
        error = CorruptImageError(self.file.name, field, found=found, expected=expected, offset=at)
        error.hint = f"virtkit disk repair {self.file.name}"
        return error

    def parts(self, first: int, count: int) -> list[tuple[int, int, int]]:
        """(block, from, to) of clusters [first, first + count)."""
        found: list[tuple[int, int, int]] = []
        while count:
            index, skip = divmod(first, self.per_block)
            size = min(count, self.per_block - skip)
            found.append((index, skip, skip + size))
            first, count = first + size, count - size
        return found

    def _add(self, first: int, count: int, change: int) -> None:
        for index, begin, end in self.parts(first, count):
            known = bool(self.place(index)) and self.block(index).add(begin, end, change)
            if not known:
                raise self.refuse(index * self.per_block + begin, change)

    def refuse(self, cluster: int, change: int) -> ImageError:
        """Why a count cannot change."""
        if change < 0:
            return self.corrupt("refcount of a cluster in use", "0", "1 at least", cluster * self.cluster)
        most = (1 << (1 << self.order)) - 1
        return ImageError(
            f"{self.file.name}: refcount has {1 << self.order} bits, which cannot count above {most}",
            hint=f"virtkit disk amend -o refcount_bits=16 {self.file.name}",
        )

    def _next_free(self, most: int) -> tuple[int, int]:
        index, skip = divmod(self._cursor, self.per_block)
        while True:
            if not self.place(index):
                self._extend(index * self.per_block, 0)
            run = self.block(index).free_run(skip, most)
            if run:
                return index * self.per_block + run[0], run[1] - run[0]
            index, skip = index + 1, 0

    def _extend(self, first: int, count: int) -> None:
        """Make the blocks for ``count`` clusters from ``first`` on, all of them free, and a longer table if needed.

        New blocks stand behind those clusters, a new table behind the blocks; they count themselves.
        """
        blocks, longer, total = [first // self.per_block], 0, -1
        while total != (total := max(count + len(blocks) + longer, 1)):
            last = (first + total - 1) // self.per_block
            blocks = [index for index in range(first // self.per_block, last + 1) if not self.place(index)]
            longer = self._longer_table(last)
        if longer:
            self.table.extend([0] * (longer * self.cluster // ENTRY - len(self.table)))
        for at, index in enumerate(blocks, first + count):
            self.table[index] = at * self.cluster
            fresh = Block(bytes(self.cluster), self.order)
            fresh.dirty = True
            self._verified.add(index)
            self._blocks[index] = fresh
        self._new += blocks
        self._add(first + count, total - count, 1)
        if longer:
            self._move_table(first + count + len(blocks), longer)

    def _longer_table(self, last: int) -> int:
        """Clusters of a table that reaches block ``last`` and half as far again; 0 where it does already."""
        if last < len(self.table):
            return 0
        size = divide_up((last + 1) * ENTRY, self.cluster)
        if size * self.cluster > MAX_REFCOUNT_TABLE_SIZE:
            raise NotSupportedError(f"{self.file.name}: has no room for more clusters of {self.cluster} bytes")
        return min(size + size // 2, MAX_REFCOUNT_TABLE_SIZE // self.cluster)

    def _move_table(self, first: int, clusters: int) -> None:
        """Written whole, then the header names it."""
        header = self.heading.head.header
        self._store_blocks()
        self.file.sync_data()
        self.file.write(first * self.cluster, stored_table(self.table, endian="big"))
        self._new.clear()
        self.heading.change(refcount_table_offset=first * self.cluster, refcount_table_clusters=clusters)
        if header.refcount_table_clusters:
            self.free(header.refcount_table_offset // self.cluster, header.refcount_table_clusters)

    def _store_blocks(self) -> None:
        for index, block in self._blocks.items():
            self._store_block(index, block)

    def _store_block(self, index: int, block: Block) -> None:
        if block.dirty:
            self.file.write(self.place(index), block.pack())
            block.dirty = False
