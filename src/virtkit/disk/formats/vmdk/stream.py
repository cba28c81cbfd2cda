"""streamOptimized: compressed grains one behind the other, each with a marker, the tables where they are complete.

Laid out as VMware's and VirtualBox's exporters do (QEMU puts its directory in front and writes no markers for it):
header and descriptor, grains, each grain table behind its grains, directory, footer, end of stream. Nothing that has
been written is changed; the header in front is the same whatever follows, and is written last.
"""

from __future__ import annotations

import os
import threading
from array import array
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import KIB, MIB, SECTOR, divide_up, format_size, round_up
from virtkit.disk import codecs
from virtkit.disk.format import Measured
from virtkit.disk.formats.vmdk import signature, text
from virtkit.disk.formats.vmdk.descriptor import Line
from virtkit.disk.formats.vmdk.layout import (
    CHECK_BYTES,
    DEFLATE,
    ENTRY,
    FLAG_COMPRESSED,
    FLAG_MARKERS,
    FLAG_NEWLINES,
    GD_AT_END,
    GRAIN_MARKER_SIZE,
    GTES,
    MARKER_END_OF_STREAM,
    MARKER_FOOTER,
    MARKER_GRAIN_DIRECTORY,
    MARKER_GRAIN_TABLE,
    MAX_DIRECTORY,
    Header,
    Marker,
)
from virtkit.disk.formats.vmdk.layouts import DESCRIPTOR_SECTORS, GRAIN, GRAIN_SECTORS, MAX_SECTOR, TABLE_SECTORS
from virtkit.disk.formats.vmdk.options import Options
from virtkit.disk.formats.vmdk.writer import parent_of
from virtkit.disk.runs import read_table, stored_table

if TYPE_CHECKING:
    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer, Place

VERSION = 3
OVERHEAD = GRAIN_SECTORS  # sectors in front of the first grain
BATCH = 2 * MIB  # bytes per write
_GROWN = GRAIN // KIB + 64  # bytes that deflate may add to a grain that it cannot shrink


class StreamWriter:
    unit = GRAIN

    def __init__(self, file: File, blank: Blank) -> None:
        """UsageError."""
        self._file = file
        self._size = blank.size
        self._chosen = Options(blank.options)
        self._parent = parent_of(blank)
        if not blank.size:
            raise UsageError("vmdk: disk size is 0 with streamOptimized, expected monolithicSparse")
        tables = divide_up(blank.size, GRAIN * GTES)
        if tables * ENTRY > MAX_DIRECTORY:
            raise UsageError(f"vmdk: disk size is {format_size(blank.size)}, too big for streamOptimized")
        self._lock = threading.Lock()
        self._directory = array("I", bytes(ENTRY * tables))
        self._index, self._table = 0, array("I", bytes(ENTRY * GTES))  # the table whose grains are coming
        self._changed = False  # whether it holds more than what is in the file
        self._pending: list[Buffer] = []
        self._written = OVERHEAD * SECTOR  # bytes of the file
        self._end = self._written  # with what is pending
        self._zeros = b""  # a grain of zeros, compressed

    def place(self, start: int, length: int) -> list[Place]:
        raise NotSupportedError("vmdk: streamOptimized holds compressed data only", hint="-c")

    def blank(self, start: int, length: int) -> None:
        """A compressed grain of zeros takes a sector: readers of version 3 need not know zeroed grains."""
        if not self._zeros:
            self._zeros = codecs.encoder("vmdk", "best", always=True)(bytes(GRAIN)) or b""
        for at in range(start, start + length, GRAIN):
            self.store(at, self._zeros)

    def store(self, start: int, coded: Buffer) -> None:
        with self._lock:
            index, slot = divmod(start // GRAIN, GTES)
            if index != self._index:
                self._turn_to(index)
            self._table[slot] = self._append(Marker(start // SECTOR, len(coded), 0).pack()[:GRAIN_MARKER_SIZE], coded)
            self._changed = True

    def settle(self) -> None:
        with self._lock:
            self._flush()

    def finish(self) -> None:
        with self._lock:
            self._put_table()
            data = stored_table(self._directory, endian="little")
            at = self._append(_mark(divide_up(len(data), SECTOR), MARKER_GRAIN_DIRECTORY), data) + 1
            self._append(_mark(1, MARKER_FOOTER), self._header(at).pack())
            self._append(_mark(0, MARKER_END_OF_STREAM))
            self._flush()
            extent = Line("RW", self._size // SECTOR, "SPARSE", os.path.basename(self._file.name))
            described = text.render(self._chosen, self._size, [extent], self._parent)
            self._file.write(SECTOR, described.ljust((OVERHEAD - 1) * SECTOR, b"\0"))
            self._file.write(0, self._header(GD_AT_END).pack().ljust(SECTOR, b"\0"))

    def _turn_to(self, index: int) -> None:
        """Another grain table; one that was left before is taken up again and will be written anew."""
        self._put_table()
        self._index = index
        self._table = array("I", bytes(ENTRY * GTES))
        if at := self._directory[index]:
            self._flush()
            self._table = read_table(self._file, "grain table", at * SECTOR, GTES, code="I", endian="little")

    def _put_table(self) -> None:
        if self._changed:
            marker = _mark(TABLE_SECTORS, MARKER_GRAIN_TABLE)
            self._directory[self._index] = self._append(marker, stored_table(self._table, endian="little")) + 1
            self._changed = False

    def _append(self, *data: Buffer) -> int:
        """The sector where ``data`` begin; the next begin at a sector's start too."""
        at = self._end // SECTOR
        size = sum(map(len, data))
        padded = round_up(size, SECTOR)
        if at + padded // SECTOR > MAX_SECTOR:
            raise NotSupportedError(f"{self._file.name}: data reach behind 2 TiB of a VMDK", hint="-O qcow2")
        self._pending += [*data, bytes(padded - size)]
        self._end += padded
        if self._end - self._written >= BATCH:
            self._flush()
        return at

    def _flush(self) -> None:
        self._file.write_parts(self._written, self._pending)
        self._pending.clear()
        self._written = self._end

    def _header(self, directory: int) -> Header:
        """``directory``: its sector, in the footer; GD_AT_END in front."""
        return Header(
            magic=signature.MAGIC,
            version=VERSION,
            flags=FLAG_NEWLINES | FLAG_COMPRESSED | FLAG_MARKERS,
            capacity=self._size // SECTOR,
            grain_size=GRAIN_SECTORS,
            descriptor_offset=1,
            descriptor_size=DESCRIPTOR_SECTORS,
            gtes_per_gt=GTES,
            redundant_directory_offset=0,
            directory_offset=directory,
            data_offset=OVERHEAD,
            unclean_shutdown=0,
            check_bytes=CHECK_BYTES,
            compression=DEFLATE,
        )


def _mark(sectors: int, kind: int) -> bytes:
    return Marker(sectors, 0, kind).pack().ljust(SECTOR, b"\0")


def measure(blank: Blank) -> Measured:
    """At most: nothing shrinks."""
    return Measured(_length(blank.size, blank.data), _length(blank.size, blank.size))


def _length(size: int, data: int) -> int:
    grains, tables = divide_up(data, GRAIN), divide_up(size, GRAIN * GTES)
    grain = round_up(GRAIN_MARKER_SIZE + GRAIN + _GROWN, SECTOR)
    directory = round_up(tables * ENTRY, SECTOR)
    written = min(tables, grains) * (1 + TABLE_SECTORS) * SECTOR
    return OVERHEAD * SECTOR + grains * grain + written + SECTOR + directory + 3 * SECTOR
