"""L2 tables of an image that is written, and the L1 table above them."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from typing import TYPE_CHECKING

from virtkit.core.units import MIB
from virtkit.disk.formats.qcow2.layout import COPIED, ENTRY, OFFSET
from virtkit.disk.formats.qcow2.mapping import Tables
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.formats.qcow2.allocator import Allocator
    from virtkit.disk.formats.qcow2.heading import Heading

_KEPT = 4 * MIB  # bytes of tables in memory, those to be stored and the others


class LiveTables(Tables):
    """Changed tables stay in memory until ``store``."""

    def __init__(self, heading: Heading, allocator: Allocator, l1: array[int]) -> None:
        super().__init__(heading.file, heading.head)
        self.heading, self.allocator, self.l1 = heading, allocator, l1
        self._tables: OrderedDict[int, array[int]] = OrderedDict()  # by their place in the file
        self._changed: dict[int, tuple[int, int]] = {}  # by place: words [from, to) that are not stored yet
        self._changed_l1: set[int] = set()
        self.most = max(_KEPT // self.head.cluster_size, 4)

    @property
    def full(self) -> bool:
        """Whether it is time to ``store``."""
        return len(self._changed) >= self.most

    @property
    def changed(self) -> bool:
        return bool(self._changed or self._changed_l1)

    def get(self, index: int, at: int) -> array[int]:
        if at in self._tables:
            self._tables.move_to_end(at)
            return self._tables[at]
        table = self.read(index, at)
        self._keep(at, table)
        return table

    def known(self, index: int) -> array[int] | None:
        """The table of entry ``index`` of the L1 table, to look at; None where there is none."""
        at = self.l1[index] & OFFSET if index < len(self.l1) else 0
        return self.get(index, at) if at else None

    def change(self, index: int, first: int, last: int) -> array[int]:
        """The table of entry ``index``, whose words [first, last) will be changed: new, or a copy, where needed."""
        entry = self.l1[index]
        at = entry & OFFSET
        if not entry & COPIED or not at:
            at = self._renew(index, at)
            first, last = 0, self.head.cluster_size // ENTRY
        table = self.get(index, at)
        begin, end = self._changed.get(at, (first, last))
        self._changed[at] = min(begin, first), max(end, last)
        return table

    def drop(self, index: int) -> None:
        """Without a table, what entry ``index`` describes is a hole. What the table names has been given back."""
        at = self.l1[index] & OFFSET
        self._tables.pop(at, None)
        self._changed.pop(at, None)
        self.l1[index] = 0
        self._changed_l1.add(index)
        self.allocator.free(at // self.head.cluster_size, 1)

    def move(self, index: int) -> None:
        """Give the table another cluster."""
        at = self._renew(index, self.l1[index] & OFFSET)
        self._changed[at] = 0, self.head.cluster_size // ENTRY

    def store(self) -> None:
        """Write changed tables, then the entries that name new ones. What they name is on stable storage already."""
        for at, (first, last) in self._changed.items():
            self.file.write(at + first * ENTRY, stored_table(self._tables[at][first:last], endian="big"))
        self._changed.clear()
        if self._changed_l1:
            self.file.sync_data()
            for first, last in _rows(sorted(self._changed_l1)):
                place = self.heading.head.header.l1_offset + first * ENTRY
                self.file.write(place, stored_table(self.l1[first:last], endian="big"))
            self._changed_l1.clear()

    def _renew(self, index: int, old: int) -> int:
        """A new place; the table there is what the old one says, or empty."""
        cluster = self.head.cluster_size
        table = self.get(index, old)[:] if old else array("Q", bytes(cluster))
        ((first, _),) = self.allocator.take(1)
        at = first * cluster
        if old:
            self._changed.pop(old, None)
            self._tables.pop(old, None)
            self.allocator.free(old // cluster, 1)
        self._keep(at, table)
        self.l1[index] = at | COPIED
        self._changed_l1.add(index)
        return at

    def _keep(self, at: int, table: array[int]) -> None:
        if len(self._tables) >= 2 * self.most:
            for known in [known for known in self._tables if known not in self._changed][: self.most]:
                del self._tables[known]
        self._tables[at] = table


def _rows(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """Consecutive ones as [from, to)."""
    first = 0
    for place, number in enumerate(numbers, 1):
        if place == len(numbers) or numbers[place] != number + 1:
            yield numbers[first], number + 1
            first = place
