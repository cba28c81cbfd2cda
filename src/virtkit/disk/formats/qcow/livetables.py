"""The tables of a qcow image that is changed, and the end of its file, where all new room is.

Changes wait in memory until ``commit`` stores them in the order that no crash can hurt: data, L2 tables, L1 table.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import round_up
from virtkit.disk.formats.qcow.extentmap import used
from virtkit.disk.formats.qcow.layout import COMPRESSED, ENTRY, Head
from virtkit.disk.formats.qcow.mapping import QcowImage
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from virtkit.disk.access import Access
    from virtkit.disk.file import File

_MOST_CHANGED = 64  # L2 tables that wait
_MOST_FREED = 4096  # stretches that wait


class LiveTables(QcowImage):
    def __init__(self, file: File, head: Head, access: Access) -> None:
        super().__init__(file, head, access)
        self._changed: dict[int, array[int]] = {}  # L2 tables by their index
        self._first_change: dict[int, tuple[int, int]] = {}  # which entries [from, to) of them
        self._new: dict[int, int] = {}  # entries of the L1 table that change
        self._freed: list[tuple[int, int]] = []  # (at, length) of what no entry will name any more
        self._end = round_up(file.size, self.head.cluster)

    @property
    def unit(self) -> int:
        return self.head.cluster

    def l1_piece(self, first: int) -> array[int]:
        """With the tables that are new."""
        piece = super().l1_piece(first)[:]
        for index, at in self._new.items():
            if first <= index < first + len(piece):
                piece[index - first] = at
        return piece

    def l1_entry(self, index: int) -> int:
        return self._new[index] if index in self._new else super().l1_entry(index)

    def table(self, index: int, at: int) -> array[int]:
        return self._changed[index] if index in self._changed else super().table(index, at)

    def take(self, length: int) -> int:
        """Room at the end of the file; what is not written of it reads as zeros."""
        if self.file.is_device:
            raise NotSupportedError(f"{self.file.name}: a qcow image on a block device has no room to grow")
        at = self._end
        self._end += round_up(length, self.head.cluster)
        self.file.resize(self._end)
        return at

    def entries(self, index: int) -> array[int]:
        """The L2 table, to be looked at; zeros where there is none."""
        at = self.l1_entry(index)
        return self.table(index, at) if at else array("Q", bytes(ENTRY * self.head.l2_entries))

    def put(self, index: int, first: int, entries: array[int]) -> None:
        """Change entries of an L2 table, which is made where there is none. What they named is given back."""
        known = self.l1_entry(index)
        table = self._changed.get(index)
        if table is None:
            table = self.entries(index)[:]
            self._changed[index] = table
        if not known:
            self._new[index] = self.take(ENTRY * len(table))
            self._first_change[index] = 0, len(table)
        self._give_back(table[first : first + len(entries)])
        table[first : first + len(entries)] = entries
        begin, end = self._first_change.get(index, (first, first))
        self._first_change[index] = min(begin, first), max(end, first + len(entries))

    def _give_back(self, old: array[int]) -> None:
        """Compressed clusters are smaller than what a file system can free: they stay until the file is compacted."""
        cluster = self.head.cluster
        for run in runs(old, 0, len(old), cluster, (0,)):
            if run.entry and not run.entry & COMPRESSED:
                self._freed.append((run.entry, (run.end - run.begin) * cluster))

    def commit_in_time(self) -> None:
        if len(self._changed) >= _MOST_CHANGED or len(self._freed) >= _MOST_FREED:
            self.commit()

    def commit(self) -> None:
        if not self._changed and not self._new:
            return
        self.file.sync_data()
        for index, table in self._changed.items():
            begin, end = self._first_change[index]
            self.file.write(self.l1_entry(index) + ENTRY * begin, stored_table(table[begin:end], endian="big"))
        if self._new or self._freed:
            self.file.sync_data()
        for index, at in sorted(self._new.items()):
            where = self.head.header.l1_offset + ENTRY * index
            self.file.write(where, at.to_bytes(ENTRY, "big"))
        self._changed, self._first_change, self._new = {}, {}, {}
        self._last = self._last_piece = None
        self._punch()

    def _punch(self) -> None:
        """What the stored tables no longer name takes no room on the file system."""
        freed, self._freed = self._freed, []
        for at, length in freed:
            self.file.discard(at, length)

    def drop_table(self, index: int) -> None:
        """An L2 table in which nothing is any more."""
        self.commit()
        self._new[index] = 0

    def move_table(self, index: int, place: int) -> None:
        """Another place for an L2 table, where nothing is yet."""
        table = self.entries(index)
        self._changed[index], self._first_change[index] = table, (0, len(table))
        self._new[index] = place

    def cut(self) -> None:
        """The file ends behind what is used of it."""
        self._end = round_up(max(stretch.end for stretch in used(self)), self.head.cluster)
        self.file.sync_data()
        if self._end < self.file.size:
            self.file.resize(self._end)
        self.file.sync()

    def changed_head(self, backing: str | None, **fields: int) -> Head:
        from dataclasses import replace

        return Head(replace(self.head.header, **fields), backing)  # type: ignore[arg-type]  # all but the magic are numbers

    def put_header(self, backing: str | None, **fields: int) -> None:
        """One write within one sector: all of it or nothing."""
        self.head = self.changed_head(backing, **fields)
        self.file.sync_data()
        self.file.write(0, self.head.header.pack())
        self._last = self._last_piece = None
        self.file.sync_data()
