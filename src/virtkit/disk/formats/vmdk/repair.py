"""Mend a sparse VMDK from its second set of tables: what the first one cannot mean is taken from the redundant one.

New tables are whole before a directory names them, and the file is cut when nothing names its tail.
"""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.core.progress import Note, Sink, silent
from virtkit.core.units import SECTOR, divide_up, round_up
from virtkit.disk.formats.vmdk import layout, opening
from virtkit.disk.formats.vmdk.census import Census
from virtkit.disk.formats.vmdk.check import check
from virtkit.disk.formats.vmdk.grains import SparsePart, mended
from virtkit.disk.formats.vmdk.layout import ENTRY, FLAG_REDUNDANT, Header
from virtkit.disk.runs import stored_table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.disk.file import File
    from virtkit.disk.format import Findings
    from virtkit.disk.formats.vmdk.census import Copies
    from virtkit.disk.formats.vmdk.image import VmdkImage


def repair(image: VmdkImage, *, leaks_only: bool, report: Sink = silent) -> Findings:
    """What is left; each change is told as a Note. NotSupportedError for a disk of several files."""
    parts = [part for part in image.parts if isinstance(part, SparsePart)]
    if len(parts) != 1 or parts[0].file is not image.file or parts[0].compressed:
        raise NotSupportedError(
            f"{image.file.name}: only a monolithicSparse disk is repaired, this is {image.descriptor.create_type}",
            hint=opening.HINT.format(image.file.name),
        )
    file = image.file
    steps = [_mend_tables, _cut_tail] if leaks_only else [_mend_header, _mend_tables, _cut_tail]
    for step in steps:
        for told in step(_Patient(file, leaks_only=leaks_only)):
            report(Note(f"repair {file.name}", told))
        file.sync()
    left = check([_Patient(file, leaks_only=leaks_only).part])
    if parts[0].shape.unclean and not left.corruptions:
        file.write(Header.offset_of("unclean_shutdown"), b"\0")
        report(Note(f"repair {file.name}", "the file is no longer marked as not closed"))
        file.sync()
    return left


class _Patient:
    """The file as it is before a step."""

    def __init__(self, file: File, *, leaks_only: bool) -> None:
        self.file = file
        self.header = layout.read_header(file)
        self.part = SparsePart(file, self.header.shape)
        self.leaks_only = leaks_only


def _mend_header(patient: _Patient) -> Iterator[str]:
    """A directory that lies outside of the file is given up: the other one is the only one then."""
    header, shape = patient.header, patient.part.shape
    sectors = patient.file.size // SECTOR
    inside = [0 < at <= sectors - shape.directory_sectors for at in (shape.directory_offset, shape.redundant_offset)]
    if not shape.redundant_offset or all(inside):
        return
    kept = shape.directory_offset if inside[0] else shape.redundant_offset
    header = replace(header, directory_offset=kept, redundant_directory_offset=0, flags=header.flags & ~FLAG_REDUNDANT)
    patient.file.write(0, header.pack())
    yield f"the directory at sector {kept} is the only one now, the other lay outside of the file"


def _mend_tables(patient: _Patient) -> Iterator[str]:
    census = Census(patient.part)
    for copies in census.copies():
        yield from _mend_table(patient, copies, census.sectors)


def _mend_table(patient: _Patient, copies: Copies, sectors: int) -> Iterator[str]:
    part, number = patient.part, copies.number
    first, other = copies.first, copies.other
    if part.redundant is None or (first is None and other is None):
        return
    if first is None or other is None:
        if not patient.leaks_only:
            yield _replace_table(patient, copies)
        return
    right = mended(first, other, sectors)
    if patient.leaks_only and (right != first or not part.shape.unclean):
        return
    for name, table, directory in (("", first, part.directory), ("redundant ", other, part.redundant)):
        if table != right:
            patient.file.write(directory[number] * SECTOR, stored_table(right, endian="little"))
            changed = sum(one != two for one, two in zip(table, right, strict=True))
            yield f"{changed} entries of {name}grain table {number} are those of the other copy now"


def _replace_table(patient: _Patient, copies: Copies) -> str:
    """The copy that is missing is made anew behind everything."""
    part, file, number = patient.part, patient.file, copies.number
    whole = copies.first if copies.first is not None else copies.other
    at = round_up(divide_up(file.size, SECTOR), part.shape.grain_size)
    file.write(at * SECTOR, stored_table(whole or array("I"), endian="little").ljust(part.grain, b"\0"))
    file.sync()
    first = copies.first is None
    directory = part.shape.directory_offset if first else part.shape.redundant_offset
    file.write(directory * SECTOR + ENTRY * number, at.to_bytes(ENTRY, "little"))
    return f"{'' if first else 'redundant '}grain table {number} is at sector {at} now, a copy of the other one"


def _cut_tail(patient: _Patient) -> Iterator[str]:
    """Grains behind the last one that is used. Those between others stay until the image is compacted."""
    image_end = _end(patient)
    size = patient.file.size
    if image_end is not None and image_end < size:
        patient.file.resize(image_end)
        yield f"the file ends at byte {image_end:#x} now, {size - image_end} bytes earlier"


def _end(patient: _Patient) -> int | None:
    """Bytes; None where the tables contradict themselves."""
    found = check([patient.part])
    if found.corruptions:
        return None
    first = patient.part.shape.data_offset * SECTOR
    return max(round_up(found.image_end, patient.part.grain), first)
