"""The sparse extents of ESX: COWD, which descriptors call VMFSSPARSE (vmfsSparse, vmfsThin). Read only.

VMware's "Virtual Disk Format 5.0" names them "ESX Server Sparse Extents"; QEMU reads them the same way
(block/vmdk.c, vmdk_open_vmfs_sparse). Positions are in sectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.structs import Struct, array, layout, u32
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.formats.vmdk.layout import MAX_DIRECTORY, Shape

if TYPE_CHECKING:
    from virtkit.disk.file import File

VERSION = 1
GTES = 4096  # entries of a grain table, always
ENTRY = 4  # bytes
MAX_GRAIN = 2048  # sectors; ESX writes 1


@layout("<")
class Header(Struct):
    magic: Annotated[bytes, array(4)]
    version: u32
    flags: u32
    capacity: u32  # sectors
    grain_size: u32  # sectors
    directory_offset: u32
    tables: u32  # entries of the directory
    free_sector: u32  # where the next grain would go


def read_shape(file: File) -> Shape:
    """CorruptImageError, NotSupportedError."""
    header = Header.parse(file.read(0, SECTOR), source=file.name)
    if header.version != VERSION:
        raise NotSupportedError(f"{file.name}: COWD version is {header.version}, expected {VERSION}")
    _require(0 < header.grain_size <= MAX_GRAIN, file, header, "grain_size", f"1 to {MAX_GRAIN} sectors")
    needed = divide_up(header.capacity, GTES * header.grain_size)
    most = MAX_DIRECTORY // ENTRY
    _require(needed <= header.tables <= most, file, header, "tables", f"{needed} to {most} entries")
    end = header.directory_offset + divide_up(needed * ENTRY, SECTOR)
    fits = header.directory_offset > 0 and end * SECTOR <= file.size
    _require(fits, file, header, "directory_offset", f"a directory within {file.size // SECTOR} sectors")
    return Shape(header.capacity, header.grain_size, GTES, header.directory_offset, needed)


def _require(ok: bool, file: File, header: Header, field: str, expected: str) -> None:  # noqa: FBT001  reads as a sentence
    if not ok:
        found, offset = getattr(header, field), Header.offset_of(field)
        raise CorruptImageError(file.name, field.replace("_", " "), found=found, expected=expected, offset=offset)
