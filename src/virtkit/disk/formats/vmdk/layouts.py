"""One file of a new VMDK being laid out: with grain tables, or plain.

A sparse file has its header, descriptor, redundant directory and tables, directory and tables in front, in VMware's
order, then grains in the order in which they come. The header goes last.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import KIB, SECTOR, divide_up, format_size, round_up
from virtkit.disk.format import Place
from virtkit.disk.formats.vmdk import signature
from virtkit.disk.formats.vmdk.layout import (
    CHECK_BYTES,
    ENTRY,
    FLAG_NEWLINES,
    FLAG_REDUNDANT,
    FLAG_ZEROED_GRAINS,
    GTES,
    MAX_DIRECTORY,
    ZEROED_GTE,
    Header,
)
from virtkit.disk.runs import stored_table, table_of

if TYPE_CHECKING:
    from virtkit.disk.file import File

GRAIN = 64 * KIB  # bytes
GRAIN_SECTORS = GRAIN // SECTOR
TABLE_SECTORS = GTES * ENTRY // SECTOR
DESCRIPTOR_SECTORS = 20  # kept for the descriptor, as VMware does
MAX_SECTOR = 0xFFFF_FFFF  # that an entry can name
TABLES_KEPT = 64  # in memory: the source comes in order, so older ones are hardly touched again


def tables_of(size: int) -> int:
    """How many grain tables describe a disk of ``size`` bytes."""
    return divide_up(size, GRAIN * GTES)


def copy_sectors(tables: int) -> int:
    """One directory and its tables."""
    return divide_up(tables * ENTRY, SECTOR) + tables * TABLE_SECTORS


def data_sector(size: int, *, embedded: bool) -> int:
    """Where the grains begin in a sparse file; everything in front is metadata."""
    return round_up(1 + (DESCRIPTOR_SECTORS if embedded else 0) + 2 * copy_sectors(tables_of(size)), GRAIN_SECTORS)


class SparseLayout:
    unit = GRAIN

    def __init__(self, file: File, size: int, *, zeroed: bool, embedded: bool) -> None:
        """``size``: bytes of the disk that this file holds; ``embedded``: the descriptor goes into it. UsageError."""
        self.file = file
        self.size = size
        self._zeroed = zeroed
        self._described = DESCRIPTOR_SECTORS if embedded else 0
        self._tables = tables_of(size)
        if self._tables * ENTRY > MAX_DIRECTORY:
            most = format_size(MAX_DIRECTORY // ENTRY * GTES * GRAIN)
            raise UsageError(f"vmdk: disk size is {format_size(size)}, expected at most {most}")
        self._kept: dict[int, array[int]] = {}
        self._data_offset = self._next = data_sector(size, embedded=embedded)  # sectors

    def place(self, start: int, length: int) -> Place:
        count = divide_up(length, GRAIN)
        first = self._next
        self._next += count * GRAIN_SECTORS
        if self._next > MAX_SECTOR:
            raise NotSupportedError(
                f"{self.file.name}: data reach behind 2 TiB of a sparse VMDK", hint="-o subformat=twoGbMaxExtentSparse"
            )
        self._fill(start // GRAIN, array("I", range(first, self._next, GRAIN_SECTORS)))
        return Place(self.file, first * SECTOR, length)

    def blank(self, start: int, length: int) -> None:
        if self._zeroed:
            self._fill(start // GRAIN, array("I", [ZEROED_GTE]) * divide_up(length, GRAIN))
        else:
            self.place(start, length)  # a hole of the file: nothing is written

    def finish(self, text: bytes) -> None:
        """Tables, directories, descriptor, and the header in the end."""
        for index, table in self._kept.items():
            self._save(index, table)
        self._kept.clear()
        self.file.resize(self._next * SECTOR)
        for at in self._directories:
            first = at + divide_up(self._tables * ENTRY, SECTOR)
            tables = range(first, first + self._tables * TABLE_SECTORS, TABLE_SECTORS)
            self.file.write(at * SECTOR, stored_table(array("I", tables), endian="little"))
        if self._described:
            self.file.write(SECTOR, text.ljust(DESCRIPTOR_SECTORS * SECTOR, b"\0"))
        self.file.write(0, self._header.pack().ljust(SECTOR, b"\0"))

    @property
    def _directories(self) -> tuple[int, int]:
        """Sectors: the redundant one, and the one that is read."""
        redundant = 1 + self._described
        return redundant, redundant + copy_sectors(self._tables)

    @property
    def _header(self) -> Header:
        redundant, directory = self._directories
        return Header(
            magic=signature.MAGIC,
            version=2 if self._zeroed else 1,
            flags=FLAG_NEWLINES | FLAG_REDUNDANT | (FLAG_ZEROED_GRAINS if self._zeroed else 0),
            capacity=self.size // SECTOR,
            grain_size=GRAIN_SECTORS,
            descriptor_offset=1 if self._described else 0,
            descriptor_size=self._described,
            gtes_per_gt=GTES,
            redundant_directory_offset=redundant,
            directory_offset=directory,
            data_offset=self._data_offset,
            unclean_shutdown=0,
            check_bytes=CHECK_BYTES,
            compression=0,
        )

    def _fill(self, grain: int, entries: array[int]) -> None:
        done = 0
        while done < len(entries):
            index, slot = divmod(grain + done, GTES)
            part = entries[done : done + GTES - slot]
            self._table(index)[slot : slot + len(part)] = part
            done += len(part)
        while len(self._kept) > TABLES_KEPT:
            oldest = next(iter(self._kept))
            self._save(oldest, self._kept.pop(oldest))

    def _table(self, index: int) -> array[int]:
        if index not in self._kept:
            data = self.file.read(self._table_at(index, self._directories[1]), GTES * ENTRY)
            self._kept[index] = table_of(data.ljust(GTES * ENTRY, b"\0"), code="I", endian="little")
        return self._kept[index]

    def _save(self, index: int, table: array[int]) -> None:
        data = stored_table(table, endian="little")
        for directory in self._directories:
            self.file.write(self._table_at(index, directory), data)

    def _table_at(self, index: int, directory: int) -> int:
        """Bytes."""
        return (directory + divide_up(self._tables * ENTRY, SECTOR) + index * TABLE_SECTORS) * SECTOR


class FlatLayout:
    unit = 4 * KIB  # the block of most file systems: smaller holes would save nothing

    def __init__(self, file: File, size: int) -> None:
        self.file = file
        self.size = size
        file.resize(size)

    def place(self, start: int, length: int) -> Place:
        return Place(self.file, start, length)

    def blank(self, start: int, length: int) -> None:
        """It is on nothing: what is not placed reads as zeros."""

    def finish(self, text: bytes) -> None:
        """The data is all there is."""
