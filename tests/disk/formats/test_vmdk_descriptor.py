"""The text of a VMDK: what VMware, VirtualBox and QEMU write is read, all else is an error with its line."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import CorruptImageError
from virtkit.disk.file import File
from virtkit.disk.formats.vmdk import FORMAT, descriptor
from virtkit.disk.formats.vmdk.descriptor import Line

if TYPE_CHECKING:
    from pathlib import Path


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
    assert found.extents == (
        Line("RW", 4192256, "SPARSE", "test-s001.vmdk", None, 7),
        Line("RW", 2101248, "SPARSE", "test-s002.vmdk", None, 8),
    )
    assert found.pairs["ddb.geometry.sectors"] == "63"


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("what is this", "'what is this'"),
        ('createType="a"', "a second createType"),
        ('parentFileNameHint="b"\nparentFileNameHint="c"', "a second parentFileNameHint"),
        ('parentFileNameHint="a', "quoted value"),
        ('parentFileNameHint="a"b"', "quoted value"),
        ("CID=xyz", "hexadecimal"),
        ("CID=123456789", "hexadecimal"),
        ('RW -4 FLAT "a" 0', "-4 sectors"),
        ('RW 4 FLAT "a" -1', "-1 sectors"),
        ('RW 99999999999999999999 FLAT "a" 0', "99999999999999999999 sectors"),
        ('RW 9999999999999999999 FLAT "a" 0', "disk size is 9999999999999999999 sectors"),
    ],
)
def test_a_descriptor_line_that_is_not_understood_is_an_error(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(CorruptImageError, match=problem):
        parse(tmp_path / "a", f'createType="custom"\n{line}\n')


@given(text=st.text(max_size=300))
def test_any_text_is_a_descriptor_or_a_clear_error(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    with suppress(CorruptImageError):
        assert parse(tmp_path_factory.getbasetemp() / "any", f'createType="custom"\n{text}').create_type == "custom"


def test_odd_spaces_carriage_returns_and_repeated_keys_of_the_data_base_are_read(tmp_path: Path) -> None:
    text = (
        "\ufeff#Disk DescriptorFile\r\n version = 1\r\nCID = 0abc\r\nCID=0abc\r\nparentCID=FFFFFFFF\r\n"
        'createType = "vmfs" \r\n\r\n  RW\t8   VMFS  "a b-flat.vmdk" \r\nRDONLY 8 ZERO\r\n'
        'ddb.comment="said "so""\r\nddb.uuid.image="1"\r\nddb.uuid.image="2"\r\nencoding="UTF-8"\r\n'
    )
    found = parse(tmp_path / "a", text)
    assert (found.cid, found.parent_cid, found.create_type) == (0xABC, None, "vmfs")
    assert found.extents == (Line("RW", 8, "VMFS", "a b-flat.vmdk", None, 8), Line("RDONLY", 8, "ZERO", number=9))
    assert (found.pairs["ddb.uuid.image"], found.pairs["ddb.comment"]) == ("1", 'said "so"')
    assert FORMAT.probe(text.encode())


def test_a_descriptor_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.vmdk"
    path.write_text('# Disk DescriptorFile\ncreateType="custom"\n' + "# nothing\n" * 110_000)
    file = File.open(path)
    with pytest.raises(CorruptImageError, match="descriptor size is"):
        FORMAT.open(file)
    file.close()
