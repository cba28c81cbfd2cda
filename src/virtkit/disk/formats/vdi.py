"""VDI: VirtualBox's own format. Source of truth: VirtualBox, src/VBox/Storage/VDICore.h and VDI.cpp."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.structs import Struct, array, layout, u32, u64
from virtkit.core.units import GIB, KIB, SECTOR, divide_up, is_power_of_two, round_up
from virtkit.disk.access import READ_ONLY, Access
from virtkit.disk.format import Extent, Facts, Kind, Reference
from virtkit.disk.runs import Run, merged, read_table, runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File

SIGNATURE = 0xBEDA107F
VERSION = 0x0001_0001
DYNAMIC, STATIC = 1, 2  # image types; 3 undo and 4 differencing need a parent
FREE = 0xFFFF_FFFF  # map entry: never written
ZERO = 0xFFFF_FFFE  # map entry: discarded, reads as zeros
ENTRY = 4  # bytes of a map entry
_PIECE = 64 * KIB  # entries of the map read at once
_TYPES = {3: "undo", 4: "differencing"}


@layout("<")
class Header(Struct):
    about: Annotated[bytes, array(64)]
    signature: u32
    version: u32
    header_size: u32  # bytes from here on; VirtualBox writes 0x190, QEMU 0x180
    image_type: u32
    flags: u32
    comment: Annotated[bytes, array(256)]
    map_offset: u32  # bytes; the block map
    data_offset: u32  # bytes; block 0
    geometry: Annotated[bytes, array(12)]
    sector_size: u32  # bytes
    unused: u32
    disk_size: u64  # bytes
    block_size: u32  # bytes; a power of two
    block_extra: u32  # bytes in front of every block
    blocks: u32
    blocks_allocated: u32
    uuid: Annotated[bytes, array(16)]
    uuid_last_snapshot: Annotated[bytes, array(16)]
    uuid_link: Annotated[bytes, array(16)]
    uuid_parent: Annotated[bytes, array(16)]


class VdiImage:
    backing: Reference | None = None

    def __init__(self, file: File, header: Header) -> None:
        self.file = file
        self.files = (file,)
        self.header = header
        self.size = round_up(header.disk_size, SECTOR)  # VBoxManage convertfromraw writes odd sizes

    @property
    def facts(self) -> Facts:
        return Facts(cluster_size=self.header.block_size)

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        return merged(self._extents(start, start + length)) if length else iter(())

    def close(self) -> None:
        self.file.close()

    def _extents(self, start: int, end: int) -> Iterator[Extent]:
        span = _PIECE * self.header.block_size
        for base in range(start // span * span, end, span):
            yield from self._extents_of_piece(base, max(start, base), min(end, base + span))

    def _extents_of_piece(self, base: int, start: int, end: int) -> Iterator[Extent]:
        """The part [start, end) of what the piece of the map for ``base`` describes."""
        unit = self.header.block_size
        first = base // unit
        at = self.header.map_offset + ENTRY * first
        count = min(_PIECE, self.header.blocks - first)
        piece = read_table(self.file, "block map", at, count, code="I", endian="little")
        for run in runs(piece, (start - base) // unit, divide_up(end - base, unit), 1, (FREE, ZERO)):
            begin = max(start, base + run.begin * unit)
            stretch = Extent(begin, min(end, base + run.end * unit) - begin, Kind.HOLE)
            yield self._placed(run, stretch, begin - base - run.begin * unit, at + ENTRY * run.begin)

    def _placed(self, run: Run, stretch: Extent, skip: int, entry_at: int) -> Extent:
        if run.entry == FREE:
            return stretch
        if run.entry == ZERO:
            return stretch._replace(kind=Kind.ZERO)
        at = self.header.data_offset + run.entry * self.header.block_size + skip
        file_size = self.file.size
        if at + stretch.length > file_size:
            found = f"{run.entry}, block at {at:#x}"
            expected = f"a block within {file_size:#x} bytes"
            raise CorruptImageError(self.file.name, "map entry", found=found, expected=expected, offset=entry_at)
        return stretch._replace(kind=Kind.DATA, file=self.file, at=at)


class Vdi:
    title = "VirtualBox disk image"
    suffixes = (".vdi",)

    def probe(self, head: bytes) -> bool:
        at = Header.offset_of("signature")
        return head[at : at + 4] == SIGNATURE.to_bytes(4, "little")

    def open(self, file: File, access: Access = READ_ONLY) -> VdiImage:
        if access.writable:
            raise NotSupportedError(f"{file.name}: VDI cannot be written in place yet")
        header = Header.parse(file.read(0, Header.SIZE), source=file.name)
        _require(header.signature == SIGNATURE, file, header, "signature", f"{SIGNATURE:#x}")
        _check_supported(file, header)
        _check_numbers(file, header)
        return VdiImage(file, header)


def _check_supported(file: File, header: Header) -> None:
    if header.version != VERSION:
        found = f"{header.version >> 16}.{header.version & 0xFFFF}"
        raise NotSupportedError(f"{file.name}: VDI version is {found}, expected 1.1")
    if header.image_type in _TYPES or any(header.uuid_link + header.uuid_parent):
        kind = _TYPES.get(header.image_type, "differencing")
        raise NotSupportedError(
            f"{file.name}: is a {kind} VDI image, which virtkit cannot read without its parent",
            hint=f"VBoxManage clonemedium {file.name} whole.vdi",
        )
    _require(header.image_type in {DYNAMIC, STATIC}, file, header, "image_type", f"{DYNAMIC} (dynamic) or {STATIC}")
    if header.block_extra:
        raise NotSupportedError(f"{file.name}: has {header.block_extra} extra bytes in every block, expected 0")


def _check_numbers(file: File, header: Header) -> None:
    unit, size = header.block_size, file.size
    fits = is_power_of_two(unit) and SECTOR <= unit <= GIB
    _require(fits, file, header, "block_size", "a power of two from 512 bytes to 1 GiB")
    _require(header.sector_size == SECTOR, file, header, "sector_size", f"{SECTOR}")
    _require(header.data_offset % SECTOR == 0, file, header, "data_offset", f"a multiple of {SECTOR}")
    map_end = header.map_offset + ENTRY * header.blocks
    _require(header.map_offset >= Header.SIZE, file, header, "map_offset", f"at least {Header.SIZE}")
    _require(map_end <= size, file, header, "blocks", f"a block map within the file's {size} bytes")
    _require(map_end <= header.data_offset, file, header, "data_offset", f"at least {map_end}, behind the block map")
    room = header.blocks * unit
    _require(header.disk_size <= room, file, header, "disk_size", f"at most {room} bytes, which the map describes")


def _require(ok: bool, file: File, header: Header, field: str, expected: str) -> None:  # noqa: FBT001  reads as a sentence
    if not ok:
        found, offset = getattr(header, field), Header.offset_of(field)
        raise CorruptImageError(file.name, field.replace("_", " "), found=found, expected=expected, offset=offset)


FORMAT = Vdi()
