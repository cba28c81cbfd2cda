"""A sparse extent made longer or shorter. Its directory has no room to grow, so a longer one goes behind everything."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.units import SECTOR, divide_up, format_size, round_up
from virtkit.disk.format import Kind
from virtkit.disk.formats.vmdk.layout import ENTRY, MAX_DIRECTORY
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from virtkit.disk.formats.vmdk.livesparse import LiveSparse


def resize(part: LiveSparse, size: int) -> None:
    """``size``: bytes, a multiple of a sector. The header changes when all that it tells of is on stable storage."""
    before = part.size
    if size < before:
        edge = round_up(size, part.grain)
        if edge < before:
            part.forget(edge, before - edge)
    else:
        _clear_edge(part)
    part.flush()
    tables = divide_up(size, part.span)
    if tables > part.shape.tables:
        _lengthen(part, tables)
    part.file.sync()
    part.header = replace(
        part.header,
        capacity=size // SECTOR,
        redundant_directory_offset=part.shape.redundant_offset or part.header.redundant_directory_offset,
        directory_offset=part.shape.directory_offset,
    )
    _store_header(part)
    part.shape = part.shape._replace(capacity=size // SECTOR, tables=tables)
    part.size = size
    for directory in part.directories:
        del directory[tables:]
    part.file.sync()


def _store_header(part: LiveSparse) -> None:
    """But for the mark of a file that is not closed, which stands for itself."""
    packed = part.header.pack()
    at = part.header.offset_of("unclean_shutdown")
    part.file.write(0, packed[:at] + part.file.read(at, 1) + packed[at + 1 :])


def _clear_edge(part: LiveSparse) -> None:
    """What the last grain holds behind the end of the disk would become the guest's."""
    inside = part.size % part.grain
    if not inside:
        return
    last = next(part.extents(part.size - SECTOR, SECTOR))
    if last.kind is Kind.DATA:
        at = last.at + SECTOR
        part.file.zero(at, min(part.grain - inside, max(part.file.size - at, 0)))


def _lengthen(part: LiveSparse, tables: int) -> None:
    """New directories of ``tables`` entries, and the tables that were missing, all empty."""
    if tables * ENTRY > MAX_DIRECTORY:
        most = format_size(MAX_DIRECTORY // ENTRY * part.span)
        raise NotSupportedError(f"{part.file.name}: size would be too big for a VMDK, expected at most {most}")
    entries, step = divide_up(tables * ENTRY, SECTOR), part.shape.table_sectors
    more = tables - part.shape.tables
    places = []
    for directory in part.directories:
        at = part.room.extend(entries + more * step)
        first = at + entries
        directory.extend(array("I", range(first, first + more * step, step)))
        part.file.write(at * SECTOR, stored_table(directory, endian="little"))
        places.append(at)
    part.file.resize(max(part.file.size, part.room.end * SECTOR))
    redundant = places[0] if len(places) > 1 else 0
    part.shape = part.shape._replace(directory_offset=places[-1], redundant_offset=redundant)
