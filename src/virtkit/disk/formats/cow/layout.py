"""The headers of COW files, of which there are two families with one magic number.

QEMU's version 2: block/cow.c up to QEMU 2.1, a C structure written as the compiler laid it out. User-Mode Linux's
versions 2 and 3: arch/um/drivers/cow_user.c, packed. All numbers are big-endian.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.structs import Struct, array, layout, u32, u64
from virtkit.core.units import KIB, SECTOR, divide_up, round_up
from virtkit.disk.formats.cow.signature import MAGIC, SWAPPED

if TYPE_CHECKING:
    from virtkit.disk.file import File

QEMU, UML = "qemu", "uml"
LARGEST = 1 << 62  # bytes of a disk
UML_ALIGNMENT = 4 * KIB
_LARGEST_ALIGNMENT = 1 << 24  # bytes; User-Mode Linux writes 4096
_FRONT = 8  # bytes of magic and version


@layout(">")
class Start(Struct):
    magic: Annotated[bytes, array(4)]
    version: u32


@layout(">")
class Qemu2(Struct):
    """As compiled for 64 bits: numbers of 64 bits lie at multiples of 8."""

    magic: Annotated[bytes, array(4)]
    version: u32
    backing_name: Annotated[bytes, array(1024)]
    mtime: u32  # seconds since the epoch; of the backing file
    padding: u32
    size: u64  # bytes
    sector_size: u32  # bytes
    end_padding: u32


@layout(">")
class Qemu2On32Bits(Struct):
    """As compiled for i386, where they do not."""

    magic: Annotated[bytes, array(4)]
    version: u32
    backing_name: Annotated[bytes, array(1024)]
    mtime: u32
    size: u64
    sector_size: u32


@layout(">")
class Uml2(Struct):
    magic: Annotated[bytes, array(4)]
    version: u32
    backing_name: Annotated[bytes, array(4096)]
    mtime: u32
    size: u64
    sector_size: u32


@layout(">")
class Uml3(Struct):
    magic: Annotated[bytes, array(4)]
    version: u32
    mtime: u32
    size: u64
    sector_size: u32
    alignment: u32  # bytes; of the bitmap and of the data
    cow_format: u32  # 0: a bitmap
    backing_name: Annotated[bytes, array(4096)]


Header = Qemu2 | Qemu2On32Bits | Uml2 | Uml3


class Head(NamedTuple):
    """A header, and where it says that the bitmap and the data are; all in bytes."""

    header: Header
    bitmap_offset: int
    data_offset: int

    @property
    def family(self) -> str:
        return UML if isinstance(self.header, Uml2 | Uml3) else QEMU

    @property
    def backing_name(self) -> bytes:
        return self.header.backing_name.split(b"\0", 1)[0]


def read_head(file: File) -> Head:
    """CorruptImageError, NotSupportedError."""
    front = file.read(0, Uml3.SIZE)
    start = Start.parse(front, source=file.name)
    if start.magic == SWAPPED or start.version == 1:
        raise NotSupportedError(
            f"{file.name}: COW version is 1, expected 2 or 3: it does not say in which byte order it was written",
            hint=f"uml_moo {file.name} whole.raw",
        )
    if start.magic != MAGIC:
        raise CorruptImageError(file.name, "signature", found=start.magic.hex(" "), expected="OOOM", offset=0)
    if start.version not in {2, 3}:
        raise NotSupportedError(f"{file.name}: COW version is {start.version}, expected 2 or 3")
    header: Header = Uml3.parse(front, source=file.name) if start.version == 3 else _version_2(file, front)  # noqa: PLR2004
    _check(file, header)
    return placed(header)


def placed(header: Header) -> Head:
    """Where a header puts the bitmap and the data."""
    sectors = divide_up(header.size, SECTOR)
    if isinstance(header, Uml3):
        bitmap = round_up(Uml3.SIZE, header.alignment)
        # User-Mode Linux counts whole bytes of the bitmap and forgets those that are not full
        counted = (header.size + header.sector_size - 1) // (8 * header.sector_size)
        return Head(header, bitmap, round_up(bitmap + counted, header.alignment))
    length = divide_up(sectors, 8) if not isinstance(header, Uml2) else (header.size + SECTOR - 1) // (8 * SECTOR)
    return Head(header, type(header).SIZE, round_up(type(header).SIZE + length, SECTOR))


def _version_2(file: File, front: bytes) -> Header:
    """Three programs wrote it; the sector size, which is always the same, tells which one."""
    for kind in (Qemu2, Qemu2On32Bits, Uml2):
        if len(front) >= kind.SIZE and (header := kind.parse(front, source=file.name)).sector_size == SECTOR:
            return header
    found = Qemu2.parse(front, source=file.name).sector_size
    at = Qemu2.offset_of("sector_size")
    raise CorruptImageError(file.name, "sector size", found=found, expected=f"{SECTOR}", offset=at)


def _check(file: File, header: Header) -> None:
    def require(ok: bool, field: str, expected: str) -> None:  # noqa: FBT001  reads as a sentence
        if not ok:
            found, offset = getattr(header, field), header.offset_of(field)
            raise CorruptImageError(file.name, field.replace("_", " "), found=found, expected=expected, offset=offset)

    require(header.sector_size == SECTOR, "sector_size", f"{SECTOR}")
    require(header.size <= LARGEST, "size", f"at most {LARGEST} bytes")
    if isinstance(header, Uml3):
        fits = SECTOR <= header.alignment <= _LARGEST_ALIGNMENT and header.alignment % SECTOR == 0
        require(fits, "alignment", f"a multiple of {SECTOR} up to {_LARGEST_ALIGNMENT}")
        require(header.cow_format == 0, "cow_format", "0")
    head = placed(header)
    room = 8 * (head.data_offset - head.bitmap_offset)
    if divide_up(header.size, SECTOR) > room:
        raise NotSupportedError(
            f"{file.name}: its bitmap has room for {room} sectors, expected {divide_up(header.size, SECTOR)}: "
            "User-Mode Linux lays the rest of it over the data"
        )
