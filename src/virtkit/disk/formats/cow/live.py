"""A COW file that is written in place.

Data goes to its fixed place at once; the bits that say so wait in memory and are stored behind a barrier. Nothing that
a stored bit names is given back before the bit is gone from the file.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import MIB, SECTOR
from virtkit.disk.formats.cow.bitmap import MOST_WAITING
from virtkit.disk.formats.cow.image import CowImage
from virtkit.disk.formats.cow.layout import UML, Header, placed

if TYPE_CHECKING:
    from virtkit.disk.access import Access
    from virtkit.disk.file import File
    from virtkit.disk.format import Buffer, Image, Reference
    from virtkit.disk.formats.cow.layout import Head


class LiveCow(CowImage):
    def __init__(self, file: File, head: Head, access: Access) -> None:
        super().__init__(file, head, access)
        self._given_back: list[tuple[int, int]] = []  # of the disk; once the bits are stored

    def write(self, start: int, data: Buffer) -> None:
        length = len(memoryview(data).cast("B"))
        self._keep_apart(start, start + length)
        self.file.write(self.head.data_offset + start, data)
        self._mark(start, length)

    def zero(self, start: int, length: int) -> None:
        """There is no bit for zeros: over a backing image they are written, as a hole where that can be."""
        if self.backing is None:
            self.forget(start, length)
            return
        self._keep_apart(start, start + length)
        at = self.head.data_offset + start
        if self.file.size < at + length:
            self.file.resize(at + length)
        self.file.zero(at, length)
        self._mark(start, length)

    def discard(self, start: int, length: int) -> None:
        if self.backing is None:
            self.forget(start, length)

    def forget(self, start: int, length: int) -> None:
        self.bits.change(start // SECTOR, (start + length) // SECTOR, here=False)
        self._given_back.append((start, start + length))
        self._store_some()

    def resize(self, size: int) -> None:
        """As far as the data stays where it is: its place follows from the length of the bitmap."""
        header = replace(self.head.header, size=size)
        new = placed(header)
        if new.data_offset != self.head.data_offset or 8 * (new.data_offset - new.bitmap_offset) < size // SECTOR:
            raise NotSupportedError(
                f"{self.file.name}: a COW file of {size} bytes keeps its data elsewhere, expected one near {self.size}",
                hint=f"virtkit disk convert {self.file.name} new.qcow2",
            )
        if size < self.size:
            self.forget(size, self.size - size)
        self.flush()
        self.bits.forget_beyond(max(size, self.size) // SECTOR)
        if size > self.size:  # what lies there was never part of the bitmap
            self.bits.change(self.size // SECTOR, size // SECTOR, here=False)
            self.flush()
        self._put(header)
        self.bits.forget_beyond(size // SECTOR)
        self.size = size

    def set_backing(self, backing: Reference | None, below: Image | None) -> None:
        """User-Mode Linux compares the time of the backing file's last change, so that is stored with the name."""
        name = os.fsencode(backing.name) if backing else b""
        room = type(self.head.header).offset_of
        most = 1023 if room("backing_name") + 1024 == room("mtime") else 4095
        if len(name) > most:
            raise NotSupportedError(
                f"{self.file.name}: backing name is {len(name)} bytes long, expected at most {most}"
            )
        if backing and self.head.family == UML and backing.format not in {None, "raw"}:
            raise NotSupportedError(f"{self.file.name}: User-Mode Linux stands on raw disks, not on {backing.format}")
        time = int(os.fstat(below.file.fd).st_mtime) & 0xFFFF_FFFF if below else 0
        self.flush()
        self._put(replace(self.head.header, backing_name=name, mtime=time))

    def flush(self) -> None:
        self.file.sync_data()
        self.bits.store()
        self.file.sync()
        for start, end in self._given_back:
            self.file.discard(self.head.data_offset + start, end - start)
        self._given_back.clear()

    def _put(self, header: Header) -> None:
        self.head = placed(header)
        self.file.write(0, header.pack())
        self.file.sync()

    def _mark(self, start: int, length: int) -> None:
        step = MIB << 10
        for at in range(start, start + length, step):
            end = min(at + step, start + length)
            self.bits.change(at // SECTOR, end // SECTOR, here=True)
            self._store_some()

    def _store_some(self) -> None:
        if self.bits.waiting >= MOST_WAITING:
            self.flush()

    def _keep_apart(self, start: int, end: int) -> None:
        """What will be given back must not be written meanwhile."""
        if any(begin < end and start < stop for begin, stop in self._given_back):
            self.flush()
