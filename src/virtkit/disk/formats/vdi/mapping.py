"""An open VDI image: its block map as extents."""

from __future__ import annotations

import sys
from functools import cached_property
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, ImageError, NotSupportedError
from virtkit.core.units import KIB, SECTOR, divide_up, round_up
from virtkit.disk.format import Extent, Facts, Kind
from virtkit.disk.formats.vdi import parents
from virtkit.disk.formats.vdi.layout import ENTRY, FREE, NOBODY, SPECIAL, ZERO, Header, name_of
from virtkit.disk.runs import Run, merged, read_table, runs

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.format import Image, Reference

PIECE = 64 * KIB  # entries of the map read at once


class VdiImage:
    def __init__(self, file: File, header: Header, access: Access) -> None:
        self.file = file
        self.files = (file,)
        self.header = header
        self.size = round_up(header.disk_size, SECTOR)  # VBoxManage convertfromraw writes odd sizes
        self.access = access

    @property
    def facts(self) -> Facts:
        return Facts(cluster_size=self.header.block_size)

    @property
    def backing(self) -> Reference | None:
        return self.parent if self.header.differs else None

    @cached_property
    def parent(self) -> Reference:
        return parents.find(self.file, self.header.uuid_link, self.access)

    def check_backing(self, below: Image) -> None:
        """VirtualBox tells parents by two UUIDs: which image it is, and which content it had."""
        if not isinstance(below, VdiImage) or self.header.uuid_link == NOBODY:
            return  # the user has named another kind of image, or there was nothing to compare with
        wanted, found = self.header.uuid_link, below.header.uuid
        if found != wanted:
            raise ImageError(
                f"{self.file.name}: parent {below.file.name} has UUID {name_of(found)}, expected {name_of(wanted)}",
                hint=f"ls {below.file.name.rpartition('/')[0] or '.'}",
            )
        wanted, found = self.header.uuid_parent, below.header.uuid_last_snapshot
        if NOBODY not in {wanted, found} and found != wanted:
            raise ImageError(
                f"{self.file.name}: parent {below.file.name} was changed after this image was made on it: "
                f"its modification UUID is {name_of(found)}, expected {name_of(wanted)}",
                hint=f"if its content is right: virtkit disk rebase -u -b {below.file.name} {self.file.name}",
            )

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        return merged(self._extents(start, start + length)) if length else iter(())

    def close(self) -> None:
        self.file.close()

    def entries(self, first: int, count: int) -> array[int]:
        """Entries of the map; CorruptImageError where the file ends before."""
        at = self.header.map_offset + ENTRY * first
        return read_table(self.file, "block map", at, count, code="I", endian="little")

    def map_runs(self, start: int, end: int) -> Iterator[Run]:
        """The entries of blocks [start, end), counted from the disk's start; long runs come in several pieces."""
        for first in range(start, end, PIECE):
            for run in runs(table := self.entries(first, min(PIECE, end - first)), 0, len(table), 1, SPECIAL):
                yield run._replace(begin=first + run.begin, end=first + run.end)

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        unit = self.header.block_size
        for run in self.map_runs(start // unit, divide_up(end, unit)):
            begin, stop = max(start, run.begin * unit), min(end, run.end * unit)
            if run.entry == FREE:
                yield Extent(begin, stop - begin, Kind.HOLE)
            elif run.entry == ZERO:
                yield Extent(begin, stop - begin, Kind.ZERO)
            else:
                yield from self._placed(run, begin, stop)

    def _placed(self, run: Run, begin: int, stop: int) -> Iterator[Extent]:
        """One extent for the run; one for each block where something else lies between the blocks."""
        unit, file_size = self.header.block_size, self.file.size
        step = unit if self.header.block_extra else run.end * unit
        while begin < stop:
            end = min(stop, round_up(begin + 1, step))
            index = run.entry + begin // unit - run.begin
            at = self.header.block_at(index) + begin % unit
            if at + end - begin > file_size:
                raise self.outside(index, begin // unit)
            yield Extent(begin, end - begin, Kind.DATA, self.file, at)
            begin = end

    def outside(self, index: int, block: int) -> CorruptImageError:
        return CorruptImageError(
            self.file.name,
            "map entry",
            found=f"{index}, block at {self.header.block_at(index):#x}",
            expected=f"a block within {self.file.size:#x} bytes",
            offset=self.header.map_offset + ENTRY * block,
        )


def write_table(file: File, at: int, entries: array[int]) -> None:
    if sys.byteorder != "little":
        entries = entries[:]
        entries.byteswap()
    file.write(at, entries.tobytes())


def header_of_parent(image: str, backing: Reference, below: Image | None) -> Header:
    """What a child of ``below`` writes down; NotSupportedError where it has no UUID."""
    if not isinstance(below, VdiImage):
        raise NotSupportedError(
            f"{image}: backing file {backing.name} is no VDI image, and VDI names its parent by UUID",
            hint=f"virtkit disk convert -O vdi {backing.name} parent.vdi",
        )
    return below.header
