"""The directory of persistent dirty bitmaps of a qcow2 image (specification, "Bitmaps")."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.structs import Struct, layout, u8, u16, u32, u64
from virtkit.core.units import MIB, divide_up, round_up
from virtkit.disk.formats.qcow2.head import Head, require, text
from virtkit.disk.formats.qcow2.layout import AUTOCLEAR_BITMAPS, BitmapsHeader, Extension, Features

if TYPE_CHECKING:
    from virtkit.disk.file import File

_MAX_DIRECTORY = 64 * MIB  # bytes; 65535 bitmaps with names of 1023 bytes
_MAX_GRANULARITY_BITS = 63
MAX_TABLE = 0x8000000  # entries; QEMU, block/qcow2-bitmap.c
RESERVED = 0xFF00_0000_0000_01FE  # bits of a table entry
ALL_ONES = 1  # a table entry without a cluster: every bit of it is set
_FLAGS = ("in-use", "auto")
IN_USE, AUTO = 1, 2  # flags: it was being recorded in and is inconsistent; it records when the image is opened


@layout(">")
class DirectoryEntry(Struct):
    """Followed by extra data and the name, padded to 8 bytes."""

    table_offset: u64
    table_size: u32  # entries
    flags: u32
    type: u8
    granularity_bits: u8
    name_size: u16
    extra_size: u32


class StoredBitmap(NamedTuple):
    entry: DirectoryEntry
    name: str
    extra: bytes = b""  # nobody has told yet what could be in it

    def listed(self) -> dict[str, object]:
        """As qemu-img lists it."""
        flags = [name for bit, name in enumerate(_FLAGS) if self.entry.flags >> bit & 1]
        return {"flags": flags, "name": self.name, "granularity": 1 << self.entry.granularity_bits}

    @property
    def granularity(self) -> int:
        """Bytes that one bit stands for."""
        return 1 << self.entry.granularity_bits

    def pack(self) -> bytes:
        name = self.name.encode(errors="surrogateescape")
        packed = self.entry.pack() + self.extra + name
        return packed.ljust(round_up(len(packed), 8), b"\0")


def table_size(size: int, granularity: int, cluster: int) -> int:
    """Entries of the table of a bitmap for ``size`` bytes of disk."""
    return divide_up(divide_up(size, granularity), 8 * cluster)


def directory(head: Head, image: str) -> BitmapsHeader | None:
    """Where the directory is; None without bitmaps, or where a program that does not know them wrote the image."""
    data = head.extensions.get(Extension.BITMAPS)
    if data is None or not head.features.autoclear & AUTOCLEAR_BITMAPS:
        return None
    header = BitmapsHeader.parse(data, source=image)
    size, at = header.directory_size, header.directory_offset
    require(size <= _MAX_DIRECTORY, image, "bitmap directory size", size, f"{_MAX_DIRECTORY} bytes at most", at)
    aligned = at % head.cluster_size == 0 and at < 1 << 56
    require(aligned, image, "bitmap directory offset", f"{at:#x}", "aligned to clusters", at)
    return header


def read(file: File, head: Head) -> list[StoredBitmap]:
    """CorruptImageError."""
    header = directory(head, file.name)
    if header is None:
        return []
    data = file.read(header.directory_offset, header.directory_size)
    found: list[StoredBitmap] = []
    begin = 0
    for index in range(header.count):
        where = header.directory_offset + begin
        entry = DirectoryEntry.parse(data, begin, source=file.name)
        bits = entry.granularity_bits
        require(
            bits <= _MAX_GRANULARITY_BITS, file.name, f"bitmap {index}: granularity bits", bits, "63 at most", where
        )
        name_at = begin + DirectoryEntry.SIZE + entry.extra_size
        end = name_at + entry.name_size
        require(end <= len(data), file.name, f"bitmap {index}", "cut short", f"{end - begin} bytes", where)
        found.append(StoredBitmap(entry, text(data[name_at:end]), data[begin + DirectoryEntry.SIZE : name_at]))
        begin = round_up(end, 8)
    return found


def with_directory(head: Head, count: int, at: int, size: int) -> Head:
    """The header that names a directory of ``count`` bitmaps; without any, it names none."""
    extensions = {kind: data for kind, data in head.extensions.items() if kind != Extension.BITMAPS}
    autoclear = head.features.autoclear & ~AUTOCLEAR_BITMAPS
    if count:
        extensions[Extension.BITMAPS] = BitmapsHeader(count, 0, size, at).pack()
        autoclear |= AUTOCLEAR_BITMAPS
    features = Features(**{**vars(head.features), "autoclear": autoclear})
    return head._replace(features=features, extensions=extensions)
