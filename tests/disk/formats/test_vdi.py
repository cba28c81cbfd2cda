"""VDI beyond what every format must do: VirtualBox's layout, discarded blocks, what needs a parent."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.images import MIB, Specimen, read_by_qemu
from support.reading import content, open_with
from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.disk.format import Kind
from virtkit.disk.formats.vdi import ENTRY, FORMAT, ZERO, Header

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, bytes]:
    return Specimen("vdi").make(tmp_path)


def read(path: Path) -> bytes:
    image = open_with(FORMAT, path)
    try:
        return content(image)
    finally:
        image.close()


def header_of(path: Path) -> Header:
    return Header.parse(path.read_bytes())


def put_header(path: Path, header: Header) -> None:
    with path.open("r+b") as file:
        file.write(header.pack())


def put_entry(path: Path, block: int, entry: int) -> None:
    with path.open("r+b") as file:
        file.seek(header_of(path).map_offset + ENTRY * block)
        file.write(struct.pack("<I", entry))


def test_virtualbox_aligns_map_and_data_to_megabytes(made: tuple[Path, bytes]) -> None:
    path, guest = made
    data, header = path.read_bytes(), header_of(path)
    block_map = data[header.map_offset :][: ENTRY * header.blocks]
    moved = replace(header, header_size=0x190, map_offset=MIB, data_offset=2 * MIB)
    path.write_bytes(moved.pack().ljust(MIB, b"\0") + block_map.ljust(MIB, b"\0") + data[header.data_offset :])
    assert read(path) == guest == read_by_qemu(path, "vdi")


def test_a_discarded_block_is_zeros_and_not_a_hole(made: tuple[Path, bytes]) -> None:
    path, guest = made
    put_entry(path, 1, ZERO)
    image = open_with(FORMAT, path)
    (extent,) = image.extents(MIB, MIB)
    image.close()
    assert extent.kind is Kind.ZERO
    assert read(path) == guest[:MIB] + bytes(MIB) + guest[2 * MIB :] == read_by_qemu(path, "vdi")


def test_a_block_behind_the_end_of_the_file_is_an_error_with_its_entry(made: tuple[Path, bytes]) -> None:
    path, _ = made
    put_entry(path, 2, 77)
    where = header_of(path).map_offset + 2 * ENTRY
    with pytest.raises(CorruptImageError, match=rf"map entry is 77, block at .*at byte {where:#x}"):
        read(path)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"image_type": 4}, "differencing"), ({"image_type": 3}, "undo"), ({"uuid_parent": b"\1" * 16}, "differencing")],
)
def test_an_image_that_needs_its_parent_is_refused(
    made: tuple[Path, bytes], changes: dict[str, int | bytes], kind: str
) -> None:
    path, _ = made
    put_header(path, replace(header_of(path), **changes))  # type: ignore[arg-type]  # each value is of its field's type
    with pytest.raises(NotSupportedError, match=f"is a {kind} VDI image"):
        read(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("block_size", 0), ("block_size", 3 * MIB), ("block_size", 1 << 31), ("sector_size", 4096), ("image_type", 9),
        ("map_offset", 0), ("map_offset", 0xFFFFFFFF), ("blocks", 0xFFFFFFFF), ("blocks", 2), ("data_offset", 0),
        ("data_offset", 513), ("disk_size", 1 << 62), ("signature", 1),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_is_an_error_that_names_it(made: tuple[Path, bytes], field: str, value: int) -> None:
    path, _ = made
    put_header(path, replace(header_of(path), **{field: value}))  # type: ignore[arg-type]  # all of them are numbers
    with pytest.raises(CorruptImageError, match=r"is .*, expected .* \(at byte 0x"):
        open_with(FORMAT, path)
