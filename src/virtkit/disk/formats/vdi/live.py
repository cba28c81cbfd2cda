"""VDI images written in place.

Entries that name new blocks wait in memory until ``flush`` has put the data on stable storage. Entries that name
nothing any more are written at once; the blocks that they named are used again when those changes are stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import divide_up
from virtkit.disk.formats.vdi import compaction, growth, settling
from virtkit.disk.formats.vdi.layout import DIFFERENCING, DYNAMIC, FREE, NOBODY, SPECIAL, STATIC, ZERO, new_uuid
from virtkit.disk.formats.vdi.livemap import LiveMap
from virtkit.disk.formats.vdi.mapping import header_of_parent
from virtkit.disk.formats.vdi.room import Blocks

if TYPE_CHECKING:
    from virtkit.core.progress import Sink
    from virtkit.disk.format import Buffer, Image, Reference

_MOST_WAITING = 4096  # entries


class LiveVdi(LiveMap):
    _touched = False

    def write(self, start: int, data: Buffer) -> None:
        self._touch()
        view = memoryview(data).cast("B")
        unit, end = self.unit, start + len(view)
        for run in list(self.map_runs(start // unit, divide_up(end, unit))):
            begin, stop = max(start, run.begin * unit), min(end, run.end * unit)
            part = view[begin - start : stop - start]
            if run.entry in SPECIAL:
                self._fill(begin, part)
            else:
                self._put(run.entry + begin // unit - run.begin, begin % unit, part)
        if len(self.waiting) >= _MOST_WAITING:
            self.store()

    def zero(self, start: int, length: int) -> None:
        self._mark(start, length, ZERO)

    def discard(self, start: int, length: int) -> None:
        self._mark(start, length, ZERO)

    def forget(self, start: int, length: int) -> None:
        self._mark(start, length, FREE)

    def resize(self, size: int) -> None:
        self._touch()
        growth.resize(self, size)

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        """VDI names its parent by UUID, so that it has to be a VDI image."""
        self.store()
        self.file.sync_data()
        if backing is None:
            kind = DYNAMIC if self.header.differs else self.header.image_type
            self.put_header(image_type=kind, uuid_link=NOBODY, uuid_parent=NOBODY)
        else:
            parent = header_of_parent(self.file.name, backing, below)
            self.put_header(image_type=DIFFERENCING, uuid_link=parent.uuid, uuid_parent=parent.uuid_last_snapshot)
            self.parent = backing
        self.file.sync_data()

    def flush(self) -> None:
        """Also moves the last blocks into what was freed, and cuts the file: other tools expect no gaps."""
        self.store()
        self.file.sync()
        if self._touched:
            self.find_room().reclaim()
            settling.settle(self)

    def compact(self, report: Sink) -> None:
        compaction.compact(self, report)

    def _touch(self) -> None:
        """The first change gives the content a new name: images that stand on the old one can tell."""
        if not self._touched:
            self.put_header(uuid_last_snapshot=new_uuid())
            self.file.sync_data()
            self._touched = True

    def _fill(self, begin: int, data: memoryview) -> None:
        """Data of blocks that are not in the file yet; the rest of these is zeros."""
        while data:
            skip = begin % self.unit
            taken = self._take(divide_up(skip + len(data), self.unit))
            size = min(len(data), taken.length * self.unit - skip)
            try:
                self.prepare(taken)
                self._put(taken.begin, skip, data[:size])
            except BaseException:
                self.find_room().give_back(taken)
                raise
            block = begin // self.unit
            self.waiting.update(zip(range(block, block + taken.length), range(taken.begin, taken.end), strict=True))
            begin, data = begin + size, data[size:]

    def _take(self, count: int) -> Blocks:
        """VirtualBox refuses images with more blocks in the file than in the disk: then freed ones come first."""
        room = self.find_room()
        if room.end + count > self.header.blocks and not room.holes and room.awaits_reclaim:
            self.store()
            self.file.sync_data()
            room.reclaim()
        return room.take(count)

    def _put(self, index: int, skip: int, data: memoryview) -> None:
        """Guest bytes from ``skip`` within the block on, into blocks that follow each other in the file."""
        step = len(data) if not self.header.block_extra else self.unit - skip
        while data:
            self.file.write(self.header.block_at(index) + skip, data[:step])
            index, skip, data, step = index + 1, 0, data[step:], self.unit

    def _mark(self, start: int, length: int, entry: int) -> None:
        self._touch()
        for run in self.map_runs(start // self.unit, divide_up(start + length, self.unit)):
            count = run.end - run.begin
            if run.entry in SPECIAL:
                if run.entry != entry:
                    self.fill_entries(run.begin, count, entry)
            elif self.header.image_type == STATIC:  # its blocks keep their places
                self.prepare(Blocks(run.entry, run.entry + count))
            else:
                room = self.find_room()
                self.fill_entries(run.begin, count, entry)
                room.release(Blocks(run.entry, run.entry + count))
