"""A COW file for reading: sector n of the disk has its fixed place in the file, the bitmap says whether it is used."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from virtkit.core.errors import CorruptImageError, ImageError
from virtkit.core.units import SECTOR, divide_up, round_up
from virtkit.disk.format import Extent, Facts, Image, Kind, Reference
from virtkit.disk.formats.cow.bitmap import Bitmap
from virtkit.disk.formats.cow.layout import UML, Head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.access import Access
    from virtkit.disk.file import File


class CowImage:
    unit = SECTOR

    def __init__(self, file: File, head: Head, access: Access) -> None:
        self.file = file
        self.files = (file,)
        self.head = head
        self.size = round_up(head.header.size, SECTOR)
        self.bits = Bitmap(file, head.bitmap_offset, self.size // SECTOR)
        self._access = access

    @property
    def backing(self) -> Reference | None:
        """Neither family has room for its format: User-Mode Linux knows raw alone, QEMU took any."""
        name = self.head.backing_name
        if not name:
            return None
        return Reference(os.fsdecode(name), "raw" if self.head.family == UML else None, can_be_said=False)

    @property
    def facts(self) -> Facts:
        header = self.head.header
        return Facts(specific={"variant": self.head.family, "version": header.version, "backing-mtime": header.mtime})

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        end, file_size = start + length, self.file.size
        for run in self.bits.runs(start // SECTOR, divide_up(end, SECTOR)) if length else ():
            begin, stop = max(start, run.begin * SECTOR), min(end, run.end * SECTOR)
            if not run.here:
                yield Extent(begin, stop - begin, Kind.HOLE)
                continue
            at = self.head.data_offset + begin
            if at + stop - begin > file_size:
                raise CorruptImageError(
                    self.file.name,
                    "sector",
                    found=f"{stop // SECTOR - 1} in use",
                    expected=f"data within {file_size:#x} bytes",
                    offset=self.head.bitmap_offset + run.begin // 8,
                )
            yield Extent(begin, stop - begin, Kind.DATA, self.file, at)

    def check_backing(self, below: Image) -> None:
        """As User-Mode Linux has it: who changed the backing file made this file worthless. QEMU never looked."""
        if self.head.family != UML:
            return
        found, expected = int(os.fstat(below.file.fd).st_mtime) & 0xFFFF_FFFF, self.head.header.mtime
        if found != expected:
            raise ImageError(
                f"{below.file.name}: was modified at {_told(found)}, expected {_told(expected)}: {self.file.name} "
                "stands on what it held then",
                hint=f"if its content is the same: touch -d @{expected} {below.file.name}",
            )

    def close(self) -> None:
        self.file.close()


def _told(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))
