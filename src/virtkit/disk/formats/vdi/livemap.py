"""The block map and the header of a VDI image that is changed, and which blocks of its file are free.

VirtualBox and QEMU put the next block where the header's ``blocks_allocated`` says. So that count goes to the file
before the entries that need it: it may be too great for a moment, never too small.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.disk.formats.vdi.layout import ENTRY, OLD_VERSION, SPECIAL, Header
from virtkit.disk.formats.vdi.mapping import VdiImage, write_table
from virtkit.disk.formats.vdi.room import Blocks, Room

if TYPE_CHECKING:
    from virtkit.disk.access import Access
    from virtkit.disk.file import File

_STEP = 4 << 20  # bytes copied at once


class LiveMap(VdiImage):
    def __init__(self, file: File, header: Header, access: Access) -> None:
        if header.version == OLD_VERSION:
            raise NotSupportedError(
                f"{file.name}: VDI images of version 0.2 can be read only",
                hint=f"virtkit disk convert {file.name} new.vdi",
            )
        super().__init__(file, header, access)
        self.waiting: dict[int, int] = {}  # entries, by block, whose data may not be on stable storage yet
        self.room: Room | None = None  # None: nobody has looked yet

    @property
    def unit(self) -> int:
        return self.header.block_size

    def entries(self, first: int, count: int) -> array[int]:
        """With those that wait."""
        table = super().entries(first, count)
        blocks = self.waiting if len(self.waiting) < count else range(first, first + count)
        for block in blocks:
            if first <= block < first + count and block in self.waiting:
                table[block - first] = self.waiting[block]
        return table

    def find_room(self) -> Room:
        """What the map names is the truth, whatever the header counts; CorruptImageError where that cannot be."""
        if self.room is None:
            used, total = self._used(), 0
            self.room = Room(used)
            total = sum(stretch.length for stretch in used)
            if total != self.room.end - self.room.holes:
                self.room = None
                raise CorruptImageError(
                    self.file.name,
                    "block map",
                    found=f"naming some of its {total} blocks twice",
                    expected="each once",
                    offset=self.header.map_offset,
                )
        return self.room

    def _used(self) -> list[Blocks]:
        used, end = [], self.file.size
        for run in self.map_runs(0, self.header.blocks):
            if run.entry not in SPECIAL:
                used.append(Blocks(run.entry, run.entry + run.end - run.begin))
                if self.header.start_of(used[-1].end - 1) >= end:
                    raise self.outside(used[-1].end - 1, run.end - 1)
        return used

    def put_header(self, **fields: int | bytes) -> None:
        """One write within one sector: all of it or nothing."""
        self.header = self.header.changed(**fields)
        self.file.write(0, self.header.pack())

    def put_entries(self, block: int, entries: array[int]) -> None:
        """Into the file; what waited for these blocks is void."""
        for number in range(block, block + len(entries)) if self.waiting else ():
            self.waiting.pop(number, None)
        write_table(self.file, self.header.map_offset + ENTRY * block, entries)

    def fill_entries(self, block: int, count: int, entry: int) -> None:
        self.put_entries(block, array("I", [entry]) * count)

    def store(self) -> None:
        """The entries that wait, behind their data and the count that they need."""
        if not self.waiting:
            return
        if (end := self.find_room().end) > self.header.blocks_allocated:
            self.put_header(blocks_allocated=end)
        self.file.sync_data()
        waiting, self.waiting = sorted(self.waiting.items()), {}
        first, run = waiting[0][0], array("I")
        for block, entry in waiting:
            if block != first + len(run):
                self.put_entries(first, run)
                first, run = block, array("I")
            run.append(entry)
        self.put_entries(first, run)

    def prepare(self, taken: Blocks) -> None:
        """New blocks read as zeros, all of them within the file."""
        start, end = self.header.start_of(taken.begin), self.header.start_of(taken.end)
        size = self.file.size
        if start < size:
            self.file.zero(start, min(end, size) - start)
        if size < end:
            self.file.resize(end)

    def copy(self, index: int, target: int) -> None:
        """One block of the file to another place, holes as holes."""
        self.prepare(Blocks(target, target + 1))
        start, end = self.header.start_of(index), self.header.start_of(index + 1)
        shift = self.header.start_of(target) - start
        for begin, stop in self.file.data(start, end):
            for at in range(begin, stop, _STEP):
                self.file.write(at + shift, self.file.read(at, min(_STEP, stop - at)))
