"""A new VDI image, aligned as VirtualBox writes it: the map at 1 MiB, the data behind it at a whole MiB."""

from __future__ import annotations

from array import array
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import KIB, MIB, SECTOR, divide_up, format_size, is_power_of_two, parse_size, round_up
from virtkit.disk.format import Measured, Option, Place
from virtkit.disk.formats.vdi.layout import (
    ABOUT,
    ALIGNMENT,
    DIFFERENCING,
    DYNAMIC,
    ENTRY,
    FREE,
    HEADER_SIZE,
    MOST_BLOCKS,
    NOBODY,
    STATIC,
    VERSION,
    ZERO,
    Geometry,
    Header,
    new_uuid,
)
from virtkit.disk.formats.vdi.mapping import PIECE, header_of_parent, write_table
from virtkit.disk.formats.vdi.signature import SIGNATURE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.disk.file import File
    from virtkit.disk.format import Blank, Buffer

OPTIONS = (
    Option("static", "on: a place for every block from the start; off: blocks take room when written", "off"),
    Option("block_size", "128K to 128M, a power of two; QEMU reads images with 1M only", "1M"),
    Option("uuid", "the image's UUID; a new one where it is not said"),
)
_SMALLEST, _GREATEST = 128 * KIB, 128 * MIB  # that VirtualBox opens


class Wish(NamedTuple):
    """``-o``'s options, read."""

    static: bool
    block_size: int
    uuid: bytes


def wish(options: Mapping[str, str]) -> Wish:
    """UsageError for values that VDI does not have."""
    static = options.get("static", "off")
    if static not in {"on", "off"}:
        raise UsageError(f"vdi: option static is {static}, expected on or off")
    return Wish(static == "on", unit(options), _uuid(options.get("uuid")))


def unit(options: Mapping[str, str]) -> int:
    size = parse_size(options.get("block_size", "1M"))
    if not is_power_of_two(size) or not _SMALLEST <= size <= _GREATEST:
        raise UsageError(f"vdi: option block_size is {size}, expected a power of two from 128K to 128M")
    return size


def _uuid(text: str | None) -> bytes:
    if text is None:
        return new_uuid()
    from uuid import UUID

    try:
        return UUID(text).bytes_le
    except ValueError as error:
        raise UsageError(f"vdi: option uuid is {text}, expected one as 6ba7b810-9dad-11d1-80b4-00c04fd430c8") from error


def header_for(file: File, blank: Blank, wanted: Wish) -> Header:
    blocks = divide_up(blank.size, wanted.block_size)
    if blocks > MOST_BLOCKS:
        most = format_size(MOST_BLOCKS * wanted.block_size)
        raise UsageError(f"vdi: size is {format_size(blank.size)}, expected at most {most}", hint="-o block_size=128M")
    if wanted.static and blank.backing:
        raise UsageError("vdi: a static image has no backing file", hint="-o static=off")
    parent = header_of_parent(file.name, blank.backing, blank.below) if blank.backing else None
    dynamic = DIFFERENCING if parent else DYNAMIC
    return Header(
        about=ABOUT,
        signature=SIGNATURE,
        version=VERSION,
        header_size=HEADER_SIZE,
        image_type=STATIC if wanted.static else dynamic,
        flags=0,
        comment=b"",
        map_offset=ALIGNMENT,
        data_offset=round_up(ALIGNMENT + ENTRY * blocks, ALIGNMENT),
        geometry=bytes(12),
        sector_size=SECTOR,
        unused=0,
        disk_size=blank.size,
        block_size=wanted.block_size,
        block_extra=0,
        blocks=blocks,
        blocks_allocated=0,
        uuid=wanted.uuid,
        uuid_last_snapshot=new_uuid(),
        uuid_link=parent.uuid if parent else NOBODY,
        uuid_parent=parent.uuid_last_snapshot if parent else NOBODY,
    )


def measure(blank: Blank) -> Measured:
    wanted = wish(blank.options)
    blocks = divide_up(blank.size, wanted.block_size)
    data_offset = round_up(ALIGNMENT + ENTRY * blocks, ALIGNMENT)
    whole = data_offset + blocks * wanted.block_size
    needed = divide_up(blank.data, wanted.block_size) * wanted.block_size
    return Measured(whole if wanted.static else min(data_offset + needed, whole), whole)


class VdiWriter:
    """Blocks lie in the order in which they are placed; those of a static image in the disk's order."""

    def __init__(self, file: File, blank: Blank) -> None:
        wanted = wish(blank.options)
        self.unit = wanted.block_size
        self._file = file
        self._header = header_for(file, blank, wanted)
        self._static = wanted.static
        self._pieces: dict[int, array[int]] = {}  # of the map; those without entries are not made
        self._used = 0
        self._lock = Lock()
        if wanted.static:
            self._used = self._header.blocks
            file.resize(self._header.start_of(self._used))

    def place(self, start: int, length: int) -> list[Place]:
        first, count = start // self.unit, divide_up(length, self.unit)
        if self._static:
            return [Place(self._file, self._header.start_of(first), length)]
        with self._lock:
            index = self._used
            self._used += count
            for block in range(first, first + count):
                self._set(block, index + block - first)
        return [Place(self._file, self._header.start_of(index), length)]

    def blank(self, start: int, length: int) -> None:
        with self._lock:
            for block in range(start // self.unit, divide_up(start + length, self.unit)):
                self._set(block, ZERO)

    def store(self, start: int, coded: Buffer) -> None:
        raise NotSupportedError("vdi: cannot be compressed", hint="-O qcow2")

    def finish(self) -> None:
        end = self._header.start_of(self._used)
        if self._file.size != end:
            self._file.resize(end)
        for first in range(0, self._header.blocks, PIECE):
            write_table(self._file, self._header.map_offset + ENTRY * first, self._piece(first))
        header = self._header.changed(blocks_allocated=self._used)
        self._file.write(0, header.pack() + Geometry().pack())

    def _set(self, block: int, entry: int) -> None:
        first = block - block % PIECE
        if first not in self._pieces:
            self._pieces[first] = self._piece(first)
        self._pieces[first][block - first] = entry

    def _piece(self, first: int) -> array[int]:
        count = min(PIECE, self._header.blocks - first)
        if self._static:
            return array("I", range(first, first + count))
        return self._pieces.get(first) or array("I", [FREE]) * count
