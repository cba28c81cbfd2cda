"""VDI's records. Source of truth: VirtualBox, src/VBox/Storage/VDICore.h and VDI.cpp; all numbers little-endian."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.structs import Struct, array, layout, u32, u64
from virtkit.core.units import GIB, MIB, SECTOR, is_power_of_two
from virtkit.disk.formats.vdi.signature import SIGNATURE

if TYPE_CHECKING:
    from virtkit.disk.file import File

VERSION = 0x0001_0001
OLD_VERSION = 0x0000_0002  # before 2005: no offsets in the header
ABOUT = b"<<< Oracle VirtualBox Disk Image >>>\n"
DYNAMIC, STATIC, UNDO, DIFFERENCING = 1, 2, 3, 4  # image types
FREE = 0xFFFF_FFFF  # map entry: never written; the parent answers, zeros where there is none
ZERO = 0xFFFF_FFFE  # map entry: discarded, reads as zeros
SPECIAL = (FREE, ZERO)
ENTRY = 4  # bytes of a map entry
ALIGNMENT = MIB  # of the map and of the data, as VirtualBox writes them
MOST_BLOCKS = 0x3FFF_FFFF  # QEMU opens no more; the offset of what follows the map has 32 bits
NOBODY = bytes(16)  # the UUID of no image
_PREFIX = 72  # bytes in front of what ``header_size`` counts


@layout("<")
class Geometry(Struct):
    """Cylinders, heads and sectors are 0 until a BIOS has asked for them."""

    cylinders: u32 = 0
    heads: u32 = 0
    sectors: u32 = 0
    sector_size: u32 = SECTOR  # bytes


@layout("<")
class Header(Struct):
    """As of version 1.1; ``Geometry`` as the BIOS sees it follows where ``header_size`` has room for it."""

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
    uuid_last_snapshot: Annotated[bytes, array(16)]  # changes with the content
    uuid_link: Annotated[bytes, array(16)]  # the parent's ``uuid``
    uuid_parent: Annotated[bytes, array(16)]  # the parent's ``uuid_last_snapshot`` when this image was made on it

    @property
    def stride(self) -> int:
        """Bytes from one block in the file to the next."""
        return self.block_extra + self.block_size

    @property
    def differs(self) -> bool:
        """Whether the image stands on a parent."""
        return self.image_type in {UNDO, DIFFERENCING} or self.uuid_link != NOBODY

    def start_of(self, index: int) -> int:
        """Where a block is in the file, with its extra bytes."""
        return self.data_offset + index * self.stride

    def block_at(self, index: int) -> int:
        """Where the guest's bytes of a block are in the file."""
        return self.start_of(index) + self.block_extra

    def changed(self, **fields: int | bytes) -> Header:
        return Header(**{**self.__dict__, **fields})


HEADER_SIZE = Header.SIZE + Geometry.SIZE - _PREFIX  # that VirtualBox writes: 0x190


@layout("<")
class OldHeader(Struct):
    """Version 0: the map follows the header, the data follows the map."""

    about: Annotated[bytes, array(64)]
    signature: u32
    version: u32
    image_type: u32
    flags: u32
    comment: Annotated[bytes, array(256)]
    geometry: Annotated[bytes, array(12)]
    sector_size: u32
    disk_size: u64
    block_size: u32
    blocks: u32
    blocks_allocated: u32
    uuid: Annotated[bytes, array(16)]
    uuid_last_snapshot: Annotated[bytes, array(16)]
    uuid_link: Annotated[bytes, array(16)]

    def modern(self) -> Header:
        fields = {name: getattr(self, name) for name in self._offsets}
        return Header(
            **fields,
            header_size=0,
            map_offset=self.SIZE,
            data_offset=self.SIZE + ENTRY * self.blocks,
            unused=0,
            block_extra=0,
            uuid_parent=NOBODY,
        )


def read_header(file: File) -> Header:
    """Every number of it is checked: CorruptImageError, NotSupportedError."""
    data = file.read(0, Header.SIZE)
    old = OldHeader.parse(data, source=file.name)
    _require(old.signature == SIGNATURE, file, old, "signature", f"{SIGNATURE:#x}")
    if old.version != OLD_VERSION and old.version >> 16 != VERSION >> 16:
        found = f"{old.version >> 16}.{old.version & 0xFFFF}"
        raise NotSupportedError(f"{file.name}: VDI version is {found}, expected 1.1 or 0.2")
    record = old if old.version == OLD_VERSION else Header.parse(data, source=file.name)
    header = record.modern() if isinstance(record, OldHeader) else record
    types = f"{DYNAMIC} (dynamic), {STATIC} (static), {UNDO} (undo) or {DIFFERENCING} (differencing)"
    _require(header.image_type in {DYNAMIC, STATIC, UNDO, DIFFERENCING}, file, record, "image_type", types)
    _check_sizes(file, header, record)
    if isinstance(record, Header):
        _check_places(file, record)
    _check_map(file, header, record)
    return header


def _check_sizes(file: File, header: Header, record: Struct) -> None:
    unit, extra = header.block_size, header.block_extra
    fits = is_power_of_two(unit) and SECTOR <= unit <= GIB
    _require(fits, file, record, "block_size", "a power of two from 512 bytes to 1 GiB")
    _require(extra <= GIB, file, record, "block_extra", "at most 1 GiB")
    _require(header.sector_size == SECTOR, file, record, "sector_size", f"{SECTOR}")
    room = header.blocks * unit
    _require(header.disk_size <= room, file, record, "disk_size", f"at most {room} bytes, which the map describes")


def _check_places(file: File, header: Header) -> None:
    least = Header.SIZE - _PREFIX
    _require(header.header_size >= least, file, header, "header_size", f"at least {least} bytes")
    _require(header.map_offset >= Header.SIZE, file, header, "map_offset", f"at least {Header.SIZE}")


def _check_map(file: File, header: Header, record: Struct) -> None:
    end, size = header.map_offset + ENTRY * header.blocks, file.size
    _require(end <= size, file, record, "blocks", f"a block map within the file's {size} bytes")
    _require(end <= header.data_offset, file, record, "data_offset", f"at least {end}, behind the block map")


def _require(ok: bool, file: File, record: Struct, field: str, expected: str) -> None:  # noqa: FBT001  reads as a sentence
    if not ok:
        found, offset = getattr(record, field), record.offset_of(field)
        raise CorruptImageError(file.name, field.replace("_", " "), found=found, expected=expected, offset=offset)


def name_of(uuid: bytes) -> str:
    """As VirtualBox writes it for people; UUIDs are stored with their numbers little-endian."""
    from uuid import UUID

    return f"{{{UUID(bytes_le=uuid)}}}"


def new_uuid() -> bytes:
    from uuid import uuid4

    return uuid4().bytes_le
