"""qcow images written in place.

The format has no zero flag: where a backing image has something, zeros are written. New room is at the end of the
file; what was given back is a hole in it until ``compact`` makes it dense again.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.units import MIB, SECTOR, divide_up, round_up
from virtkit.disk import merge
from virtkit.disk.format import Kind
from virtkit.disk.formats.qcow import compaction
from virtkit.disk.formats.qcow.layout import COMPRESSED, ENTRY, Head, backing_name, require_size
from virtkit.disk.formats.qcow.livetables import LiveTables
from virtkit.disk.formats.qcow.mapping import PIECE
from virtkit.disk.runs import runs, stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.progress import Sink
    from virtkit.disk.format import Buffer, Image, Reference
    from virtkit.disk.runs import Run

_STEP = 4 * MIB  # bytes of zeros written at once


class LiveQcow(LiveTables):
    def write(self, start: int, data: Buffer) -> None:
        view, cluster = memoryview(data).cast("B"), self.head.cluster
        for index, begin, end in self._parts(start, start + len(view)):
            base = index * self.head.span
            found = list(
                runs(self.entries(index), (begin - base) // cluster, divide_up(end - base, cluster), cluster, (0,))
            )
            for run in found:
                first = max(begin, base + run.begin * cluster)
                last = min(end, base + run.end * cluster)
                self._write_run(index, run, first, view[first - start : last - start])
            self.commit_in_time()

    def zero(self, start: int, length: int) -> None:
        if self.head.backing is None:
            self.forget(start, length)
            return
        for at in range(start, start + length, _STEP):
            self.write(at, bytes(min(_STEP, start + length - at)))

    def discard(self, start: int, length: int) -> None:
        if self.head.backing is None:
            self.forget(start, length)

    def forget(self, start: int, length: int) -> None:
        self._clear(start // self.unit, divide_up(start + length, self.unit))

    def resize(self, size: int) -> None:
        head = self.changed_head(self.head.backing, size=size)
        require_size(self.file.name, head)
        kept = min(round_up(size, self.unit), self.size)
        if size < self.size:
            self.forget(kept, self.size - kept)
            self.commit()
        elif size > self.size:
            self._blank_tail()
            self.commit()
        moved = self._longer_l1(head) if head.l1_entries > self.head.l1_entries else self.head.header.l1_offset
        self.put_header(self.head.backing, size=size, l1_offset=moved)
        self.size = size

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        """Only its name can be kept. A name that is too long for its place goes to the end of the file."""
        self.commit()
        if backing is None:
            self.put_header(None, backing_offset=0, backing_size=0)
            return
        name = backing_name(backing.name)
        at = self.take(len(name))
        self.file.write(at, name)
        self.put_header(backing.name, backing_offset=at, backing_size=len(name))

    def flush(self) -> None:
        self.commit()
        self.file.sync()

    def compact(self, report: Sink) -> None:
        compaction.compact(self, report)

    def _parts(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(table, from, to) of [start, end), by L2 tables."""
        while start < end:
            index = start // self.head.span
            stop = min((index + 1) * self.head.span, end)
            yield index, start, stop
            start = stop

    def _write_run(self, index: int, run: Run, start: int, data: memoryview) -> None:
        cluster = self.head.cluster
        if run.entry and not run.entry & COMPRESSED:
            first = index * self.head.span + run.begin * cluster
            self.require_place(run.entry, run.entry, 0)
            self._put_data(run.entry + start - first, start, data)
            return
        begin, whole = merge.whole_units(self, start, data, cluster)
        count = len(whole) // cluster
        at = self.take(len(whole))
        self._put_data(at, begin, memoryview(whole))
        skip = begin // cluster - index * self.head.l2_entries
        self.put(index, skip, array("Q", range(at, at + count * cluster, cluster)))

    def _put_data(self, at: int, start: int, data: memoryview) -> None:
        """The guest's bytes from ``start`` on to byte ``at`` of the file."""
        self.file.write(at, self.cipher.encrypt(start // SECTOR, data) if self.is_encrypted else data)

    def _clear(self, first: int, last: int) -> None:
        """Clusters [first, last) become holes."""
        entries = self.head.l2_entries
        for run in self.l1_runs(first // entries, divide_up(last, entries)):
            for index in range(run.begin, run.end) if run.entry else ():
                begin, end = max(first - index * entries, 0), min(last - index * entries, entries)
                table = self.entries(index)
                if any(table[begin:end]):
                    self.put(index, begin, array("Q", bytes(ENTRY * (end - begin))))
                    self.commit_in_time()

    def _blank_tail(self) -> None:
        """What lies behind the disk's end in its last cluster and its last table is about to be seen."""
        self._clear(divide_up(self.size, self.unit), self.head.l1_entries * self.head.l2_entries)
        edge = round_up(self.size, self.unit)
        before, self.size = self.size, edge
        if before < edge and next(iter(self.extents(before, 1))).kind is not Kind.HOLE:
            self.write(before, bytes(edge - before))
        self.size = before

    def _longer_l1(self, head: Head) -> int:
        """A copy of the L1 table with more entries, at the end of the file."""
        at = self.take(ENTRY * head.l1_entries)
        for first in range(0, self.head.l1_entries, PIECE):
            piece = self.l1_piece(first)
            if any(piece):
                self.file.write(at + ENTRY * first, stored_table(piece, endian="big"))
        return at
