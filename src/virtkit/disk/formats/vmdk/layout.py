"""The sparse extent header of VMDK, read and checked, at the front of the file or in its footer.

Specification: VMware, Virtual Disk Format 5.0, "Hosted Sparse Extents" and "Stream-Optimized Compressed Sparse
Extents". All positions are in sectors of 512 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.structs import Struct, array, layout, u8, u16, u32, u64
from virtkit.core.units import MIB, SECTOR, divide_up, is_power_of_two
from virtkit.disk.formats.vmdk import signature

if TYPE_CHECKING:
    from virtkit.disk.file import File

VERSIONS = (1, 2, 3)  # 2: zeroed grains; 3: changed block tracking or compression
GTES = 512  # entries of a grain table
ENTRY = 4  # bytes of an entry of the directory and of the tables
GD_AT_END = 0xFFFF_FFFF_FFFF_FFFF
MAX_GRAIN = 2048  # sectors, 1 MiB; VMware writes 128
MAX_DIRECTORY = 32 * MIB  # bytes; 2 PiB in grains of 64 KiB
ZEROED_GTE = 1

FLAG_NEWLINES = 1 << 0  # the four check bytes are there
FLAG_REDUNDANT = 1 << 1
FLAG_ZEROED_GRAINS = 1 << 2
FLAG_COMPRESSED = 1 << 16
FLAG_MARKERS = 1 << 17

MARKER_END_OF_STREAM, MARKER_GRAIN_TABLE, MARKER_GRAIN_DIRECTORY, MARKER_FOOTER = 0, 1, 2, 3
DEFLATE = 1  # compression
CHECK_BYTES = b"\n \r\n"  # an FTP transfer in text mode would change them
_LARGEST = 1 << 54  # sectors; 2**63 bytes


@layout("<")
class Header(Struct):
    magic: Annotated[bytes, array(4)]
    version: u32
    flags: u32
    capacity: u64  # sectors
    grain_size: u64  # sectors; a power of two
    descriptor_offset: u64
    descriptor_size: u64
    gtes_per_gt: u32
    redundant_directory_offset: u64
    directory_offset: u64
    data_offset: u64  # all metadata lies before; 0 where compressed
    unclean_shutdown: u8
    check_bytes: Annotated[bytes, array(4)]
    compression: u16

    @property
    def tables(self) -> int:
        return divide_up(divide_up(self.capacity, self.grain_size), self.gtes_per_gt)

    @property
    def compressed(self) -> bool:
        return self.compression == DEFLATE

    @property
    def shape(self) -> Shape:
        return Shape(
            self.capacity,
            self.grain_size,
            self.gtes_per_gt,
            self.directory_offset,
            self.tables,
            self.redundant_directory_offset if self.flags & FLAG_REDUNDANT and not self.compressed else 0,
            zeroed=bool(self.flags & FLAG_ZEROED_GRAINS),
            compressed=self.compressed,
            markers=bool(self.flags & FLAG_MARKERS),
            data_offset=self.data_offset,
            unclean=bool(self.unclean_shutdown),
        )


class Shape(NamedTuple):
    """What reading a sparse extent needs to know, whichever header it has. Positions are sectors."""

    capacity: int  # sectors
    grain_size: int  # sectors
    gtes_per_gt: int
    directory_offset: int
    tables: int
    redundant_offset: int = 0  # of the second directory; 0: there is none
    zeroed: bool = False  # an entry of 1 is a grain of zeros
    compressed: bool = False
    markers: bool = False
    data_offset: int = 0  # all metadata that a new file has lies before
    unclean: bool = False  # it was open for writing when the machine or the program stopped

    @property
    def table_sectors(self) -> int:
        return divide_up(self.gtes_per_gt * ENTRY, SECTOR)

    @property
    def directory_sectors(self) -> int:
        return divide_up(self.tables * ENTRY, SECTOR)


@layout("<")
class Marker(Struct):
    """In front of everything in a stream; of a grain, ``value`` is the guest's sector and the data follow ``size``."""

    value: u64
    size: u32  # bytes of a compressed grain; 0: ``type`` says what follows in whole sectors
    type: u32


GRAIN_MARKER_SIZE = 12  # bytes; ``type`` belongs to the data then


def read_header(file: File) -> Header:
    """CorruptImageError, NotSupportedError."""
    header = Header.parse(file.read(0, SECTOR), source=file.name)
    at = 0
    if header.directory_offset == GD_AT_END:
        header, at = _read_footer(file, header)
    _check_supported(file, header)
    _check_numbers(file, header, at)
    return header


def _read_footer(file: File, front: Header) -> tuple[Header, int]:
    """The header that a writer of a stream knows only at the end: footer marker, header, end-of-stream marker."""
    from dataclasses import replace  # only streams have a footer, and this import costs 5 ms

    at = file.size // SECTOR * SECTOR - 3 * SECTOR
    data = file.read(max(at, 0), 3 * SECTOR)
    marker = Marker.parse(data, source=file.name)
    header = Header.parse(data, SECTOR, source=file.name)
    last = Marker.parse(data, 2 * SECTOR, source=file.name)
    ok = (
        (marker.size, marker.type) == (0, MARKER_FOOTER)
        and header.magic == signature.MAGIC
        and (last.value, last.size, last.type) == (0, 0, 0)
    )
    if not ok or header.directory_offset == GD_AT_END:
        expected = "a footer and the end of the stream: the file is cut short"
        raise CorruptImageError(file.name, "end of the file", found="something else", expected=expected, offset=at)
    described = replace(header, descriptor_offset=front.descriptor_offset, descriptor_size=front.descriptor_size)
    return described, at + SECTOR


def _check_supported(file: File, header: Header) -> None:
    if header.version not in VERSIONS:
        raise NotSupportedError(f"{file.name}: VMDK version is {header.version}, expected 1, 2 or 3")
    if header.compression not in {0, DEFLATE}:
        raise NotSupportedError(f"{file.name}: compression is {header.compression}, expected 0 or 1 (deflate)")


def _check_numbers(file: File, header: Header, base: int) -> None:
    sectors = divide_up(file.size, SECTOR)
    if header.flags & FLAG_NEWLINES:
        _require(header.check_bytes == CHECK_BYTES, file, header, base, "check_bytes", CHECK_BYTES.hex(" "))
    _require(header.capacity < _LARGEST, file, header, base, "capacity", "less than 2**54 sectors")
    fits = is_power_of_two(header.grain_size) and header.grain_size <= MAX_GRAIN
    _require(fits, file, header, base, "grain_size", f"a power of two of sectors, at most {MAX_GRAIN}")
    _require(0 < header.gtes_per_gt <= GTES, file, header, base, "gtes_per_gt", f"1 to {GTES}")
    fits = header.tables * ENTRY <= MAX_DIRECTORY
    _require(fits, file, header, base, "capacity", f"a grain directory of at most {MAX_DIRECTORY} bytes")
    fits = not header.tables or any(0 < at <= sectors - header.shape.directory_sectors for at in _directories(header))
    _require(fits, file, header, base, "directory_offset", f"a directory within {sectors} sectors")
    _require(header.data_offset <= sectors, file, header, base, "data_offset", f"at most {sectors} sectors")
    end = header.descriptor_offset + header.descriptor_size
    _require(end <= sectors, file, header, base, "descriptor_offset", f"a descriptor within {sectors} sectors")


def _directories(header: Header) -> tuple[int, int]:
    """Where the two are: either will do for reading."""
    return header.directory_offset, header.shape.redundant_offset


def _require(ok: bool, file: File, header: Header, base: int, field: str, expected: str) -> None:  # noqa: FBT001, PLR0917  reads as a sentence
    if not ok:
        found = getattr(header, field)
        found = found.hex(" ") if isinstance(found, bytes) else found
        offset = base + Header.offset_of(field)
        raise CorruptImageError(file.name, field.replace("_", " "), found=found, expected=expected, offset=offset)
