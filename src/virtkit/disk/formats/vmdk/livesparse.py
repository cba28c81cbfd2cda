"""A sparse extent that is written in place.

Data go to the file at once, changed tables at ``flush``: first data and a barrier, then tables, and the directory
entries of new tables behind another barrier. Grains that a table named are used again only when it has been stored.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, ImageError
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.format import Kind
from virtkit.disk.formats.vmdk.grains import SparsePart
from virtkit.disk.formats.vmdk.layout import ENTRY, ZEROED_GTE, Header, Shape
from virtkit.disk.formats.vmdk.room import Room, Span
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Extent

_MOST_CHANGED = 512  # tables in memory, 1 MiB


class LiveSparse(SparsePart):
    def __init__(self, file: File, header: Header, shape: Shape, kind: str = "", base: int = 0) -> None:
        """ImageError where one of the directories is damaged: only a whole image is written."""
        super().__init__(file, shape, kind, base)
        self.header = header
        self.parental = False  # whether holes show a parent
        self._changed: dict[int, array[int]] = {}  # tables that are newer than the file's
        self._new: set[int] = set()  # of those, what no directory in the file names
        self._room: Room | None = None
        self._marked = False  # whether it was us who marked the file as not closed
        if self.damaged or (shape.redundant_offset and self.redundant is None):
            raise ImageError(f"{file.name}: one of the grain directories lies outside of the file", hint=self._repair)

    @property
    def _repair(self) -> str:
        return f"virtkit disk repair {self.file.name}"

    @property
    def room(self) -> Room:
        if self._room is None:
            self._room = Room(self.file, self.shape.grain_size)
        return self._room

    def table(self, index: int) -> array[int]:
        return self._changed[index] if index in self._changed else super().table(index)

    def write(self, start: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        self._begin()
        for extent in list(self.extents(start, len(view))):
            part = view[extent.start - start : extent.end - start]
            if extent.kind is Kind.DATA:
                self.file.write(extent.at, part)
            else:
                self._allocate(extent.start, part)
        if len(self._changed) > _MOST_CHANGED:
            self.flush()

    def zero(self, start: int, length: int, *, spare: bool = False) -> None:
        """``spare``: what shows the parent and cannot be marked as zeros stays as it is."""
        self._begin()
        for extent in list(self.extents(start, length)):
            if extent.kind is Kind.DATA:
                self._zero_data(extent)
            elif extent.kind is Kind.HOLE and self.parental:
                if self.shape.zeroed:
                    self._fill(extent, ZEROED_GTE)
                elif not spare:
                    self._allocate_zeros(extent)

    def discard(self, start: int, length: int) -> None:
        self.zero(start, length, spare=True)

    def forget(self, start: int, length: int) -> None:
        self._begin()
        for extent in list(self.extents(start, length)):
            if extent.kind is Kind.DATA:
                self._free(extent)
            if extent.kind is not Kind.HOLE:
                self._fill(extent, 0)

    def flush(self) -> None:
        if not self._changed:
            self.file.sync()
            return
        self.file.sync()  # the data that the tables will name
        for index, table in self._changed.items():
            for directory in self.directories:
                self.file.write(directory[index] * SECTOR, stored_table(table, endian="little"))
        if self._new:
            self.file.sync()
            self._store_entries()
        self.file.sync()
        self._changed.clear()
        self._new.clear()
        self.room.settle()

    def end(self) -> None:
        """All is flushed and nothing more will be written."""
        if self._marked and not self._changed:
            self.file.write(Header.offset_of("unclean_shutdown"), b"\0")
            self._marked = False

    def forget_room(self) -> None:
        """The file has another end."""
        self._room = None

    @property
    def directories(self) -> list[array[int]]:
        """Both, or the only one."""
        return [self.directory] if self.redundant is None else [self.redundant, self.directory]

    def _begin(self) -> None:
        """VMware checks a disk that carries this mark."""
        if not self._marked and not self.header.unclean_shutdown:
            self.file.write(Header.offset_of("unclean_shutdown"), b"\1")
            self._marked = True

    def _allocate(self, start: int, data: memoryview) -> None:
        """Room for whole grains around ``data``, which lie in none; what is around them is zeros."""
        end = start + len(data)
        first, last = start // self.grain, divide_up(end, self.grain)
        if (first * self.grain, last * self.grain) != (start, end):
            data = memoryview(b"".join((bytes(start - first * self.grain), data, bytes(last * self.grain - end))))
        done = 0
        for span in self.room.take(last - first):
            self.file.write(span.sector * SECTOR, data[done * self.grain : (done + span.grains) * self.grain])
            self._name(first + done, span)
            done += span.grains

    def _allocate_zeros(self, hole: Extent) -> None:
        done, first = 0, hole.start // self.grain
        for span in self.room.take(divide_up(hole.length, self.grain)):
            at, size = span.sector * SECTOR, span.grains * self.grain
            known = min(self.file.size - at, size)
            if known > 0:
                self.file.zero(at, known)
            self.file.resize(max(self.file.size, at + size))
            self._name(first + done, span)
            done += span.grains

    def _zero_data(self, extent: Extent) -> None:
        if self.shape.zeroed or not self.parental:
            self._free(extent)
            self._fill(extent, ZEROED_GTE if self.shape.zeroed else 0)
        else:
            self.file.zero(extent.at, extent.length)  # a hole in the file, as nothing in the tables can say it

    def _free(self, extent: Extent) -> None:
        self.room.give(Span(extent.at // SECTOR, divide_up(extent.length, self.grain)))

    def _fill(self, extent: Extent, entry: int) -> None:
        self._set(extent.start // self.grain, array("I", [entry]) * divide_up(extent.length, self.grain))

    def _name(self, grain: int, span: Span) -> None:
        step = self.shape.grain_size
        self._set(grain, array("I", range(span.sector, span.sector + span.grains * step, step)))

    def _set(self, grain: int, entries: array[int]) -> None:
        done = 0
        while done < len(entries):
            index, slot = divmod(grain + done, self.shape.gtes_per_gt)
            part = entries[done : done + self.shape.gtes_per_gt - slot]
            self._own(index)[slot : slot + len(part)] = part
            done += len(part)

    def _own(self, index: int) -> array[int]:
        """The table as it may be changed."""
        if index not in self._changed:
            if not self.directory[index]:
                self._make_table(index)
            else:
                self._require_tables(index)
                self._changed[index] = super().table(index)[:]
        return self._changed[index]

    def _make_table(self, index: int) -> None:
        size, count = self.shape.table_sectors, len(self.directories)
        at = self.room.extend(size * count)
        for number, directory in enumerate(self.directories):
            directory[index] = at + number * size
        self._changed[index] = array("I", bytes(ENTRY * self.shape.gtes_per_gt))
        self._new.add(index)

    def _require_tables(self, index: int) -> None:
        for directory in self.directories:
            if not self._fits(directory[index], self.shape.table_sectors):
                raise CorruptImageError(
                    self.file.name,
                    f"position of grain table {index}",
                    found=f"sector {directory[index]}",
                    expected="one within the file",
                    offset=self.shape.directory_offset * SECTOR + ENTRY * index,
                )

    def _store_entries(self) -> None:
        """Of the tables that are new, in each directory."""
        for at, directory in self._placed_directories():
            for index in self._new:
                entry = stored_table(directory[index : index + 1], endian="little")
                self.file.write(at * SECTOR + ENTRY * index, entry)

    def _placed_directories(self) -> Iterator[tuple[int, array[int]]]:
        """Each with its sector."""
        if self.redundant is not None:
            yield self.shape.redundant_offset, self.redundant
        yield self.shape.directory_offset, self.directory
