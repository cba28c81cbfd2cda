"""A new COW file: data goes to its fixed place, the bitmap in front of it, the header last."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import KIB, SECTOR, divide_up, format_size
from virtkit.disk.format import Measured, Option, Place
from virtkit.disk.formats.cow.bitmap import MOST_WAITING, Bitmap
from virtkit.disk.formats.cow.layout import LARGEST, QEMU, UML, UML_ALIGNMENT, Head, Qemu2, Uml3, placed
from virtkit.disk.formats.cow.signature import MAGIC

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer

UNIT = 4 * KIB  # bytes: smaller holes would save nothing
OPTIONS = (Option("variant", "qemu (version 2) or uml (User-Mode Linux, version 3)", "uml on a raw disk"),)


class CowWriter:
    unit = UNIT

    def __init__(self, file: File, blank: Blank) -> None:
        self._file = file
        self._head = _head(blank)
        self._size = blank.size
        self._backed = blank.backing is not None
        self._bits = Bitmap(file, self._head.bitmap_offset, divide_up(blank.size, SECTOR))
        self._lock = threading.Lock()
        file.resize(self._head.data_offset + blank.size)

    def place(self, start: int, length: int) -> list[Place]:
        with self._lock:
            self._mark(start, length)
        return [Place(self._file, self._head.data_offset + start, length)]

    def store(self, start: int, coded: Buffer) -> None:
        raise NotSupportedError("cow: cannot be compressed", hint="-O qcow2")

    def blank(self, start: int, length: int) -> None:
        """Zeros are sectors like others; in the new file they are a hole."""
        with self._lock:
            self._mark(start, length)

    def finish(self) -> None:
        self._bits.store()
        self._file.write(0, self._head.header.pack())

    def _mark(self, start: int, length: int) -> None:
        self._bits.change(start // SECTOR, divide_up(start + length, SECTOR), here=True)
        if self._bits.waiting >= MOST_WAITING:
            self._bits.store()


def measure(blank: Blank) -> Measured:
    """The file has its whole length at once; what was not written is a hole in it."""
    data_offset = _head(blank).data_offset
    return Measured(data_offset + blank.data, data_offset + blank.size)


def _head(blank: Blank) -> Head:
    on_raw = blank.backing is not None and blank.backing.format in {None, "raw"}
    variant = blank.options.get("variant", UML if on_raw else QEMU)
    if variant not in {QEMU, UML}:
        raise UsageError(f"cow: variant is {variant}, expected qemu or uml")
    if blank.size > LARGEST:
        raise UsageError(f"cow: disk size is {format_size(blank.size)}, expected at most {format_size(LARGEST)}")
    if variant == UML and blank.backing and not on_raw:
        raise UsageError(
            f"cow: backing format is {blank.backing.format}, expected raw: User-Mode Linux reads no other",
            hint="-o variant=qemu",
        )
    name = os.fsencode(blank.backing.name) if blank.backing else b""
    time = int(os.fstat(blank.below.file.fd).st_mtime) & 0xFFFF_FFFF if blank.below else 0
    most = 1023 if variant == QEMU else 4095
    if len(name) > most:
        raise UsageError(f"cow: backing name is {len(name)} bytes long, expected at most {most}")
    if variant == QEMU:
        return placed(Qemu2(MAGIC, 2, name, time, 0, blank.size, SECTOR, 0))
    head = placed(Uml3(MAGIC, 3, time, blank.size, SECTOR, UML_ALIGNMENT, 0, name))
    if 8 * (head.data_offset - head.bitmap_offset) < divide_up(blank.size, SECTOR):
        raise UsageError(
            f"cow: disk size is {blank.size} bytes, at which User-Mode Linux lays its bitmap over the data",
            hint=f"{blank.size + 8 * SECTOR} bytes, or -o variant=qemu",
        )
    return head
