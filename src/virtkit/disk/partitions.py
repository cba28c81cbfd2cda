"""Partition tables on a disk: MBR with logical partitions, and GPT (UEFI specification 2.10, chapter 5).

What a guest wrote is not trusted: checksums are checked, counts and sizes are bounded.
"""

from __future__ import annotations

import itertools
import zlib
from typing import TYPE_CHECKING, Annotated, NamedTuple

from virtkit.core.structs import Struct, array, layout, u8, u32, u64
from virtkit.core.units import MIB, SECTOR, divide_up, is_power_of_two

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.chain import Chain

_SECTORS = (SECTOR, 4096)  # bytes of the sectors that a GPT may count in
_TABLE = 446  # where the four entries of a boot record are
_SIGNATURE = b"\x55\xaa"  # its last bytes
_EXTENDED = {0x05, 0x0F, 0x85}  # types of MBR partitions that hold logical ones
_EXTENDED_NAMES = {f"{kind:02x}" for kind in _EXTENDED}
_PROTECTIVE = 0xEE  # the type of the one that a GPT pretends to be
_MOST_LOGICAL = 256  # partitions; more are a mistake, or a chain that goes on for ever
_LARGEST_ARRAY = MIB  # bytes of a GPT's entries; 128 of them are 16 KiB
_SMALLEST_ENTRY, _LARGEST_ENTRY = 128, 4096  # bytes


@layout("<")
class MbrEntry(Struct):
    status: u8  # 0x80: boot from it, 0: do not; nothing else is legal
    first_chs: Annotated[bytes, array(3)]
    type: u8  # 0: the entry is unused
    last_chs: Annotated[bytes, array(3)]
    first: u32  # sector
    sectors: u32


@layout("<")
class GptHeader(Struct):
    signature: Annotated[bytes, array(8)]  # "EFI PART"
    revision: u32
    header_size: u32  # bytes; the checksum covers them
    header_crc: u32  # CRC-32 of the header with zeros here
    reserved: u32
    own: u64  # sector of this header
    other: u64  # sector of the other copy
    first_usable: u64
    last_usable: u64
    disk_guid: Annotated[bytes, array(16)]
    entries: u64  # first sector of the entries
    count: u32
    entry_size: u32  # bytes: 128 * 2**n
    entries_crc: u32  # CRC-32 of all entries


@layout("<")
class GptEntry(Struct):
    type: Annotated[bytes, array(16)]  # GUID; zeros: the entry is unused
    guid: Annotated[bytes, array(16)]
    first: u64  # sector
    last: u64  # sector, which belongs to it
    attributes: u64
    name: Annotated[bytes, array(72)]  # UTF-16LE


class Partition(NamedTuple):
    """Numbers as Linux counts partitions; sizes and places in bytes of the disk."""

    number: int
    start: int
    length: int
    type: str  # two hexadecimal digits of an MBR, the GUID of a GPT
    name: str = ""
    bootable: bool = False

    @property
    def end(self) -> int:
        return self.start + self.length


class Table(NamedTuple):
    scheme: str  # mbr or gpt
    partitions: tuple[Partition, ...]  # in the order of their numbers
    tail: int = 0  # bytes that the table itself needs at the end of the disk
    backup: int | None = None  # byte where a GPT says that its other copy is
    problems: tuple[str, ...] = ()

    @property
    def last(self) -> Partition | None:
        """The partition that ends last."""
        return max(self.partitions, key=lambda one: one.end, default=None)

    @property
    def end(self) -> int:
        """Where the last partition ends, in bytes."""
        return self.last.end if self.last else 0


def find(disk: Chain) -> Table | None:
    """The partition table of the disk; None where there is none that makes sense, as on a bare file system."""
    record = disk.read(0, SECTOR)
    entries = _entries(record)
    if entries is None:
        return None
    if any(entry.type == _PROTECTIVE for entry in entries):
        return _gpt(disk)
    found = tuple(_mbr(disk, entries))
    return Table("mbr", found, problems=tuple(_problems(disk, found))) if found else None


def _entries(record: bytes) -> list[MbrEntry] | None:
    """The four of a boot record; None where its bytes are something else: file systems end theirs alike."""
    if record[SECTOR - len(_SIGNATURE) :] != _SIGNATURE:
        return None
    entries = [MbrEntry.parse(record, _TABLE + index * MbrEntry.SIZE) for index in range(4)]
    if any(entry.status not in {0, 0x80} or (entry.type and not entry.sectors) for entry in entries):
        return None
    return entries


def _mbr(disk: Chain, entries: list[MbrEntry]) -> Iterator[Partition]:
    for number, entry in enumerate(entries, 1):
        if entry.type:
            yield _partition(number, 0, entry)
    number = 5
    for entry in entries:
        if entry.type in _EXTENDED:
            for logical in _logical(disk, entry.first):
                yield logical._replace(number=number)
                number += 1


def _logical(disk: Chain, extended: int) -> Iterator[Partition]:
    """The chain of records in an extended partition; each names itself and the next, counted from different places."""
    record, seen = extended, set[int]()
    while record not in seen and len(seen) < _MOST_LOGICAL:
        seen.add(record)
        entries = _entries(disk.read(record * SECTOR, SECTOR))
        if entries is None:
            return
        own, following = entries[0], entries[1]
        if own.type:
            yield _partition(0, record, own)
        if following.type not in _EXTENDED:
            return
        record = extended + following.first


def _partition(number: int, base: int, entry: MbrEntry) -> Partition:
    start, length = (base + entry.first) * SECTOR, entry.sectors * SECTOR
    return Partition(number, start, length, f"{entry.type:02x}", bootable=entry.status == 0x80)  # noqa: PLR2004  as above


def _gpt(disk: Chain) -> Table:
    """The first copy if it is sound, else the one at the disk's end."""
    troubles: list[str] = []
    for sector in _SECTORS:
        for at, which in ((sector, "header"), (disk.size - sector, "backup header")):
            answer = _copy(disk, at, sector)
            if isinstance(answer, Table):
                problems = (*troubles, *answer.problems)
                return answer._replace(problems=problems)
            if answer:
                troubles.append(f"GPT {which} at byte {at:#x}: {answer}")
    return Table("gpt", (), problems=tuple(troubles) or ("the boot record announces a GPT, but there is none",))


def _copy(disk: Chain, at: int, sector: int) -> Table | str:
    """What one header says, or why it says nothing; "" where there is no header at all."""
    block = disk.read(at, sector) if at > 0 else b""
    if len(block) < GptHeader.SIZE or block[:8] != b"EFI PART":
        return ""
    header = GptHeader.parse(block)
    if trouble := _distrust(header, block, at // sector):
        return trouble
    stored = disk.read(header.entries * sector, header.count * header.entry_size)
    if zlib.crc32(stored) != header.entries_crc:
        return "checksum of its entries is wrong"
    found = tuple(_gpt_partitions(header, stored, sector))
    tail = sector * (1 + divide_up(len(stored), sector))
    backup = max(header.own, header.other) * sector
    return Table("gpt", found, tail, backup, tuple(_problems(disk, found)))


def _distrust(header: GptHeader, block: bytes, own: int) -> str:
    if not GptHeader.SIZE <= header.header_size <= len(block):
        return f"header size is {header.header_size}, expected {GptHeader.SIZE} to {len(block)}"
    crc = GptHeader.offset_of("header_crc")
    covered = block[:crc] + bytes(4) + block[crc + 4 : header.header_size]
    if zlib.crc32(covered) != header.header_crc:
        return "checksum is wrong"
    if header.own != own:
        return f"it says that it is in sector {header.own}, expected {own}"
    size = header.entry_size
    if not (_SMALLEST_ENTRY <= size <= _LARGEST_ENTRY and is_power_of_two(size)):
        return f"entry size is {size}, expected {_SMALLEST_ENTRY} * 2**n up to {_LARGEST_ENTRY}"
    if header.count * size > _LARGEST_ARRAY:
        return f"it has {header.count} entries, expected at most {_LARGEST_ARRAY // size}"
    return ""


def _gpt_partitions(header: GptHeader, stored: bytes, sector: int) -> Iterator[Partition]:
    for index in range(header.count):
        entry = GptEntry.parse(stored, index * header.entry_size)
        if any(entry.type) and entry.first <= entry.last:
            name = entry.name.decode("utf-16-le", "replace").partition("\0")[0]
            length = (entry.last + 1 - entry.first) * sector
            yield Partition(index + 1, entry.first * sector, length, _guid(entry.type), name)


def _guid(raw: bytes) -> str:
    """As it is written: the first three groups are little-endian."""
    groups = raw[3::-1], raw[5:3:-1], raw[7:5:-1], raw[8:10], raw[10:]
    return "-".join(group.hex() for group in groups).upper()


def _problems(disk: Chain, found: tuple[Partition, ...]) -> Iterator[str]:
    """What would make other programs go wrong."""
    for one in found:
        if one.end > disk.size:
            yield f"partition {one.number} ends at byte {one.end}, behind the end of the disk ({disk.size} bytes)"
    apart = sorted((one for one in found if one.type not in _EXTENDED_NAMES), key=lambda one: one.start)
    for one, other in itertools.pairwise(apart):
        if one.end > other.start:
            yield f"partitions {one.number} and {other.number} overlap at byte {other.start}"
