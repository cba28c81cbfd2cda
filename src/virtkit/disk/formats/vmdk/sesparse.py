"""Space-efficient sparse extents (SESPARSE), which vSphere writes for snapshots. Read only.

VMware has not published the format; QEMU's reader is the source (block/vmdk.c, vmdk_open_se_sparse and
get_cluster_offset). Positions are in sectors, entries have 64 bits.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.core.structs import Struct, array, layout, u64
from virtkit.core.units import SECTOR, divide_up
from virtkit.disk.format import Extent, Kind
from virtkit.disk.formats.vmdk.layout import MAX_DIRECTORY
from virtkit.disk.formats.vmdk.signature import SESPARSE_MAGIC
from virtkit.disk.runs import Run, read_table, runs

if TYPE_CHECKING:
    from array import array as Table  # noqa: N812  the name means something else here
    from collections.abc import Iterator

    from virtkit.disk.file import File

VOLATILE_MAGIC = 0x0000_0000_CAFE_CAFE
VERSION = 0x0000_0002_0000_0001  # 2.1
GRAIN_SECTORS, TABLE_SECTORS = 8, 64
ENTRY = 8  # bytes
GTES = TABLE_SECTORS * SECTOR // ENTRY
MAX_CAPACITY = 1 << 37  # sectors, 64 TiB

ALLOCATED_TABLE = 0x1000_0000  # the upper 32 bits of an entry of the directory; the lower ones count tables
UNALLOCATED, UNMAPPED, ZEROED, ALLOCATED = range(4)  # the upper 4 bits of an entry of a table
_KIND_SHIFT = 60
_NEXT = 1 << 48  # what the entry of the next grain is larger by: the low 12 bits of its number stand at bit 48
_LOW, _HIGH = 0xFFF, (1 << 48) - 1


@layout("<")
class Header(Struct):
    """The constant header, in the first sector."""

    magic: u64
    version: u64
    capacity: u64
    grain_size: u64
    table_size: u64
    flags: u64
    reserved: Annotated[bytes, array(32)]
    volatile_header_offset: u64
    volatile_header_size: u64
    journal_header_offset: u64
    journal_header_size: u64
    journal_offset: u64
    journal_size: u64
    directory_offset: u64
    directory_size: u64
    tables_offset: u64
    tables_size: u64
    free_bitmap_offset: u64
    free_bitmap_size: u64
    backmap_offset: u64
    backmap_size: u64
    grains_offset: u64
    grains_size: u64


@layout("<")
class VolatileHeader(Struct):
    magic: u64
    free_table: u64
    next_transaction: u64
    replay_journal: u64  # not 0: tables are in the journal only


def entry_of(grain: int) -> int:
    """The table's entry for the grain with that number, as ESX packs it."""
    return ALLOCATED << _KIND_SHIFT | (grain & _LOW) << 48 | grain >> 12


def grain_of(entry: int) -> int:
    return (entry >> 48 & _LOW) | (entry & _HIGH) << 12


class _NoGrain:
    """All entries that are not ALLOCATED, as a container."""

    def __contains__(self, entry: object) -> bool:
        return isinstance(entry, int) and entry >> _KIND_SHIFT != ALLOCATED


NO_GRAIN = _NoGrain()


class SeSparsePart:
    grain = GRAIN_SECTORS * SECTOR
    span = grain * GTES
    compressed = False

    def __init__(self, file: File, kind: str = "SESPARSE") -> None:
        """CorruptImageError, NotSupportedError."""
        self.file: File = file
        self.kind = kind
        self.header = _read_header(file)
        self.size = self.header.capacity * SECTOR

    def extents(self, start: int, length: int) -> Iterator[Extent]:
        end, span = start + length, self.span
        for run in runs(self._directory, start // span, divide_up(end, span), 1, (0,)):
            if not run.stride:
                begin = max(start, run.begin * span)
                yield Extent(begin, min(end, run.end * span) - begin, Kind.HOLE)
                continue
            for index in range(run.begin, run.end):
                yield from self._extents_of_table(index, max(start, index * span), min(end, (index + 1) * span))

    @cached_property
    def _directory(self) -> Table[int]:
        at, count = self.header.directory_offset * SECTOR, divide_up(self.size, self.span)
        return read_table(self.file, "grain directory", at, count, code="Q", endian="little")

    def _extents_of_table(self, index: int, start: int, end: int) -> Iterator[Extent]:
        base, at = index * self.span, self._table_at(index)
        table = read_table(self.file, f"grain table {index}", at, GTES, code="Q", endian="little")
        first, last = (start - base) // self.grain, divide_up(end - base, self.grain)
        for run in runs(table, first, last, _NEXT, NO_GRAIN):
            begin = max(start, base + run.begin * self.grain)
            stretch = Extent(begin, min(end, base + run.end * self.grain) - begin, Kind.HOLE)
            skip = begin - base - run.begin * self.grain
            yield self._placed(run, stretch, skip, at + ENTRY * run.begin)

    def _table_at(self, index: int) -> int:
        entry = self._directory[index]
        number = entry & 0xFFFF_FFFF
        if entry >> 32 != ALLOCATED_TABLE or (number + 1) * TABLE_SECTORS > self.header.tables_size:
            most = self.header.tables_size // TABLE_SECTORS
            at = self.header.directory_offset * SECTOR + ENTRY * index
            raise _corrupt(self.file, "directory entry", f"{entry:#x}", f"0, or one of {most} tables", at)
        return (self.header.tables_offset + number * TABLE_SECTORS) * SECTOR

    def _placed(self, run: Run, stretch: Extent, skip: int, entry_at: int) -> Extent:
        last = run.entry + (run.end - run.begin - 1) * run.stride
        kinds = {run.entry >> _KIND_SHIFT, last >> _KIND_SHIFT}
        if not run.entry:
            return stretch
        if kinds <= {UNMAPPED, ZEROED}:
            return stretch._replace(kind=Kind.ZERO)
        at = self.header.grains_offset * SECTOR + grain_of(run.entry) * self.grain + skip
        if kinds != {ALLOCATED} or at + stretch.length > self.file.size:
            expected = f"a grain within {self.file.size:#x} bytes"
            raise _corrupt(self.file, "table entry", f"{run.entry:#x}", expected, entry_at)
        return stretch._replace(kind=Kind.DATA, file=self.file, at=at)


def _read_header(file: File) -> Header:
    header = Header.parse(file.read(0, SECTOR), source=file.name)
    sectors = file.size // SECTOR
    _require(header.magic == SESPARSE_MAGIC, file, header, "magic", f"{SESPARSE_MAGIC:#x}")
    for field, wanted in (("version", VERSION), ("grain_size", GRAIN_SECTORS), ("table_size", TABLE_SECTORS)):
        _require_known(file, header, field, wanted)
    _require_known(file, header, "flags", 0)
    _require(header.capacity <= MAX_CAPACITY, file, header, "capacity", "at most 64 TiB in sectors")
    needed = divide_up(divide_up(header.capacity * SECTOR, SeSparsePart.span) * ENTRY, SECTOR)
    fits = needed <= header.directory_size <= MAX_DIRECTORY // SECTOR
    _require(fits, file, header, "directory_size", f"{needed} to {MAX_DIRECTORY // SECTOR} sectors")
    fits = 0 < header.directory_offset <= sectors - needed
    _require(fits, file, header, "directory_offset", f"a directory within {sectors} sectors")
    _require(header.tables_offset <= sectors, file, header, "tables_offset", f"at most {sectors}")
    _require(header.grains_offset <= sectors, file, header, "grains_offset", f"at most {sectors}")
    _require(header.volatile_header_offset < sectors, file, header, "volatile_header_offset", f"less than {sectors}")
    _check_volatile(file, header.volatile_header_offset * SECTOR)
    return header


def _check_volatile(file: File, at: int) -> None:
    found = VolatileHeader.parse(file.read(at, SECTOR), source=file.name)
    if found.magic != VOLATILE_MAGIC:
        raise _corrupt(file, "volatile header's magic", f"{found.magic:#x}", f"{VOLATILE_MAGIC:#x}", at)
    if found.replay_journal:
        raise NotSupportedError(
            f"{file.name}: was not closed, and virtkit cannot replay its journal", hint="open it once in ESX"
        )


def _require_known(file: File, header: Header, field: str, wanted: int) -> None:
    found = getattr(header, field)
    if found != wanted:
        name = field.replace("_", " ")
        raise NotSupportedError(f"{file.name}: seSparse {name} is {found:#x}, expected {wanted:#x}")


def _require(ok: bool, file: File, header: Header, field: str, expected: str) -> None:  # noqa: FBT001  reads as a sentence
    if not ok:
        raise _corrupt(file, field.replace("_", " "), getattr(header, field), expected, Header.offset_of(field))


def _corrupt(file: File, field: str, found: object, expected: str, offset: int) -> CorruptImageError:
    return CorruptImageError(file.name, field, found=found, expected=expected, offset=offset)
