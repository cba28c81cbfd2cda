"""VMDK beyond what every format must do: parents, descriptors, streams as VMware and VirtualBox write them."""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.images import Specimen, read_by_qemu, run
from support.reading import content, open_with
from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.disk.file import File
from virtkit.disk.format import Kind, Reference
from virtkit.disk.formats.vmdk import FORMAT, descriptor
from virtkit.disk.formats.vmdk.layout import GD_AT_END, MARKER_FOOTER, Header, Marker

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


@pytest.mark.parametrize("kind", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_disks_of_several_files_are_known_and_refused_by_their_kind(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", f"subformat={kind}", path, "4M")
    assert FORMAT.probe(path.read_bytes()[:1024])
    with pytest.raises(NotSupportedError, match=f"createType is {kind}"):
        open_with(FORMAT, path)


def test_one_part_of_a_split_disk_is_refused_as_such(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", tmp_path / "a.vmdk", "4M")
    with pytest.raises(NotSupportedError, match="part of a split disk"):
        open_with(FORMAT, tmp_path / "a-s001.vmdk")


def parse(path: Path, text: str) -> descriptor.Descriptor:
    path.write_bytes(text.encode(errors="surrogateescape"))
    file = File.open(path)
    try:
        return descriptor.read(file, 0, descriptor.MAX_SIZE)
    finally:
        file.close()


def test_the_descriptor_example_of_the_specification_is_read(tmp_path: Path) -> None:
    text = """# Disk DescriptorFile
version=1
CID=fffffffe
parentCID=ffffffff
createType="twoGbMaxExtentSparse"
# Extent description
RW 4192256 SPARSE "test-s001.vmdk"
RW 2101248 SPARSE "test-s002.vmdk"
# The Disk Data Base
ddb.adapterType = "ide"
ddb.geometry.sectors = "63"
"""
    found = parse(tmp_path / "a", text)
    assert (found.create_type, found.cid, found.parent_cid, found.parent) == (
        "twoGbMaxExtentSparse", 0xFFFFFFFE, None, None
    )  # fmt: skip
    assert found.extents == ("SPARSE", "SPARSE")
    assert found.pairs["ddb.geometry.sectors"] == "63"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("what is this", "'what is this'"),
        ('createType="a"', "a second createType"),
        ('parentFileNameHint="a', "quoted value"),
        ('parentFileNameHint="a"b"', "quoted value"),
        ("CID=xyz", "hexadecimal"),
        ("CID=123456789", "hexadecimal"),
    ],
)
def test_a_descriptor_line_that_is_not_understood_is_an_error(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(CorruptImageError, match=problem):
        parse(tmp_path / "a", f'createType="custom"\n{line}\n')


@given(text=st.text(max_size=300))
def test_any_text_is_a_descriptor_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with suppress(CorruptImageError):
        assert parse(tmp_path_factory.getbasetemp() / "any", f'createType="custom"\n{text}').create_type == "custom"
