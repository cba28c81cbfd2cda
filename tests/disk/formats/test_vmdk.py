"""VMDK beyond what every format must do: streams as VMware and VirtualBox write them, redundant tables."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from support.images import Specimen, read_by_qemu, run
from support.reading import content, open_with
from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.disk.format import Kind
from virtkit.disk.formats.vmdk import FORMAT
from virtkit.disk.formats.vmdk.layout import GD_AT_END, MARKER_FOOTER, Header, Marker
from virtkit.disk.reference import Reference

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

STREAM = Specimen("vmdk", "-o subformat=streamOptimized")


def read(path: Path) -> bytes:
    image = open_with(FORMAT, path)
    try:
        return content(image)
    finally:
        image.close()


def patch(path: Path, offset: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(value)


def with_footer(path: Path) -> None:
    """Make QEMU's stream one as VMware writes it: the directory is found by the footer alone."""
    data = path.read_bytes()
    header = Header.parse(data)
    front = replace(header, directory_offset=GD_AT_END)
    padding = bytes(-len(data) % 512)
    marker = Marker(1, 0, MARKER_FOOTER).pack().ljust(512, b"\0")
    footer = marker + header.pack().ljust(512, b"\0") + bytes(512)
    path.write_bytes(front.pack() + data[Header.SIZE :] + padding + footer)


def test_a_stream_with_its_directory_in_the_footer_is_read_as_qemu_reads_it(tmp_path: Path) -> None:
    path, guest = STREAM.make(tmp_path)
    with_footer(path)
    assert read(path) == guest == read_by_qemu(path, "vmdk")


def test_a_stream_that_lost_its_footer_is_an_error(tmp_path: Path) -> None:
    path, _ = STREAM.make(tmp_path)
    with_footer(path)
    path.write_bytes(path.read_bytes()[:-512])
    with pytest.raises(CorruptImageError, match="end of the file is .*expected a footer"):
        read(path)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_all_versions_of_the_header_are_read(tmp_path: Path, version: int) -> None:
    path, guest = STREAM.make(tmp_path)
    patch(path, Header.offset_of("version"), struct.pack("<I", version))
    assert read(path) == guest == read_by_qemu(path, "vmdk")


def test_a_later_version_is_refused(tmp_path: Path) -> None:
    path, _ = STREAM.make(tmp_path)
    patch(path, Header.offset_of("version"), struct.pack("<I", 4))
    with pytest.raises(NotSupportedError, match="VMDK version is 4"):
        read(path)


def test_a_grain_whose_marker_names_another_sector_is_an_error(tmp_path: Path) -> None:
    path, _ = STREAM.make(tmp_path)
    image = open_with(FORMAT, path)
    grain = next(extent for extent in image.extents(0, image.size) if extent.kind is Kind.CODED)
    patch(path, grain.at, struct.pack("<Q", 12345))
    with pytest.raises(CorruptImageError, match=f"grain marker is sector 12345.*at byte {grain.at:#x}"):
        content(image)
    image.close()


def test_a_grain_that_claims_more_than_there_is_room_for_is_an_error(tmp_path: Path) -> None:
    path, _ = STREAM.make(tmp_path)
    image = open_with(FORMAT, path)
    grain = next(extent for extent in image.extents(0, image.size) if extent.kind is Kind.CODED)
    patch(path, grain.at + 8, struct.pack("<I", 0xFFFFFFFF))
    with pytest.raises(CorruptImageError, match="grain size is 4294967295"):
        content(image)
    image.close()


def test_a_parent_is_named(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vmdk", tmp_path / "base.vmdk", "4M")
    run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", tmp_path / "top.vmdk")
    image = open_with(FORMAT, tmp_path / "top.vmdk")
    assert image.backing == Reference("base.vmdk", "vmdk")
    assert {extent.kind for extent in image.extents(0, image.size)} == {Kind.HOLE}
    image.close()


def sectors(path: Path, field: str) -> int:
    value = getattr(Header.parse(path.read_bytes()), field)
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize("damage", ["directory position", "directory", "table", "entry"])
def test_the_redundant_copy_is_read_where_the_first_one_lies_outside_of_the_file(tmp_path: Path, damage: str) -> None:
    path, guest = Specimen("vmdk").make(tmp_path)
    directory = sectors(path, "directory_offset") * 512
    table = struct.unpack_from("<I", path.read_bytes(), directory)[0] * 512
    where = {
        "directory position": Header.offset_of("directory_offset"),
        "directory": directory,
        "table": table,
        "entry": table + 8,
    }[damage]
    patch(path, where, b"\xf0\xff\xff\x0f" * (512 if damage == "table" else 1))
    assert read(path) == guest
    image = open_with(FORMAT, path)
    image.close()
    assert image.facts.specific is not None
    assert ("redundant-directory-used" in image.facts.specific) == (damage == "directory position")


def test_without_a_redundant_copy_such_an_entry_is_an_error(tmp_path: Path) -> None:
    path, _ = Specimen("vmdk").make(tmp_path)
    table = struct.unpack_from("<I", path.read_bytes(), sectors(path, "directory_offset") * 512)[0] * 512
    patch(path, Header.offset_of("flags"), struct.pack("<I", 1))
    patch(path, table + 8, b"\xf0\xff\xff\x0f")
    with pytest.raises(CorruptImageError, match=r"grain is at sector 268435440.*at byte"):
        read(path)
