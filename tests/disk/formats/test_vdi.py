"""VDI beyond what every format must do: VirtualBox's layout, old layouts, discarded blocks."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.images import MIB, Specimen, read_by_qemu
from support.reading import assert_covers, content, open_with
from virtkit import disk
from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.disk.format import Kind
from virtkit.disk.formats.vdi import FORMAT
from virtkit.disk.formats.vdi.layout import ENTRY, OLD_VERSION, ZERO, Header, OldHeader

if TYPE_CHECKING:
    from collections.abc import Callable
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


def old(path: Path) -> bytes:
    """The same image as VirtualBox wrote them before 2005: no offsets, no parent's modification UUID."""
    data, header = path.read_bytes(), header_of(path)
    kept = {name: getattr(header, name) for name in OldHeader._offsets}
    block_map = data[header.map_offset :][: ENTRY * header.blocks]
    return OldHeader(**{**kept, "version": OLD_VERSION}).pack() + block_map + data[header.data_offset :]


def extra(path: Path) -> bytes:
    """The same image with 512 bytes, which nobody has ever used, in front of every block."""
    data, header = path.read_bytes(), header_of(path)
    blocks = [data[header.start_of(index) : header.start_of(index + 1)] for index in range(header.blocks)]
    front = data[Header.SIZE : header.data_offset]
    return header.changed(block_extra=512).pack() + front + b"".join(b"\xee" * 512 + block for block in blocks)


@pytest.mark.parametrize("variant", [old, extra])
def test_layouts_that_no_program_writes_today_are_read(
    made: tuple[Path, bytes], variant: Callable[[Path], bytes]
) -> None:
    path, guest = made
    path.write_bytes(variant(path))
    assert read(path) == guest
    image = open_with(FORMAT, path)
    assert_covers(image, 700, 4 * MIB)
    assert content(image, 700, 4 * MIB) == guest[700 : 700 + 4 * MIB]
    image.close()
    assert disk.check(str(path)).findings[:2] == (0, 0)


def test_images_of_the_old_version_are_read_only(made: tuple[Path, bytes]) -> None:
    path, _ = made
    path.write_bytes(old(path))
    with pytest.raises(NotSupportedError, match=r"version 0.2 can be read only"):
        disk.open(str(path), "r+")


def test_blocks_with_extra_bytes_are_written_in_place(made: tuple[Path, bytes]) -> None:
    path, guest = made
    path.write_bytes(extra(path))
    with disk.open(str(path), "r+") as chain:
        chain.write(MIB - 5, b"across two blocks")
        chain.discard(3 * MIB, MIB)
        chain.flush()
        chain.write(3 * MIB + 100, b"again")
        chain.resize(200 * MIB)
        assert chain.read(0, MIB - 5) == guest[: MIB - 5]
    with disk.open(str(path)) as chain:
        assert chain.read(MIB - 5, 17) == b"across two blocks"
        assert chain.read(3 * MIB, MIB) == bytes(100) + b"again".ljust(MIB - 100, b"\0")
        assert chain.read(4 * MIB, len(guest) - 4 * MIB) == guest[4 * MIB :]
    assert disk.check(str(path)).findings[:2] == (0, 0)


def test_a_version_of_the_future_is_refused(made: tuple[Path, bytes]) -> None:
    path, _ = made
    put_header(path, header_of(path).changed(version=0x20000))
    with pytest.raises(NotSupportedError, match=r"VDI version is 2.0, expected 1.1 or 0.2"):
        open_with(FORMAT, path)


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
