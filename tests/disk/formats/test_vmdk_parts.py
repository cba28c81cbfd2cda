"""Disks of several files: which are opened, which are refused, and that QEMU reads the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.images import read_by_qemu, run
from support.reading import content, open_with
from virtkit import disk
from virtkit.core.errors import (
    CorruptImageError,
    ForbiddenReferenceError,
    ImageError,
    NotFoundError,
    NotSupportedError,
)
from virtkit.disk.access import Access
from virtkit.disk.formats.vmdk import FORMAT
from virtkit.disk.formats.vmdk.layout import Header

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

TEXT = """# Disk DescriptorFile
version=1
CID=12345678
parentCID=ffffffff
createType="{kind}"
{lines}
"""


def describe(folder: Path, *lines: str, kind: str = "custom") -> Path:
    path = folder / "disk.vmdk"
    path.write_text(TEXT.format(kind=kind, lines="\n".join(lines)))
    return path


def read(path: Path) -> bytes:
    image = open_with(FORMAT, path)
    try:
        return content(image)
    finally:
        image.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.bin").write_bytes(bytes(range(256)) * 64)  # 32 sectors
    run("qemu-img", "create", "-q", "-f", "vmdk", "-o", "subformat=twoGbMaxExtentSparse", tmp_path / "t.vmdk", "1M")
    run("qemu-io", "-f", "vmdk", "-c", "write -P 7 100k 100k", tmp_path / "t.vmdk")
    return tmp_path


def test_extents_of_every_kind_in_a_row_are_read_as_qemu_reads_them(folder: Path) -> None:
    path = describe(
        folder,
        'RW 7 FLAT "a.bin" 3',
        'RW 2048 SPARSE "t-s001.vmdk"',
        'RW 32 VMFS "a.bin"',
        'RW 5 FLAT "a.bin" 0',
        kind="monolithicFlat",
    )
    assert read(path) == read_by_qemu(path, "vmdk")


def test_zeros_and_read_only_extents_keep_their_place(folder: Path) -> None:
    path = describe(folder, 'RDONLY 2 FLAT "a.bin" 0', "RW 3 ZERO", 'RW 1 FLAT "a.bin" 5')
    data = (folder / "a.bin").read_bytes()
    assert read(path) == data[:1024] + bytes(1536) + data[2560:3072]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('NOACCESS 2 FLAT "a.bin" 0', "line 6 is NOACCESS"),
        ('RW 2 VMFSRDM "a.bin"', "line 6 is VMFSRDM, expected one of FLAT"),
        ('RW 2 FLAT "a.bin"', "without an offset"),
        ('RW 33 FLAT "a.bin" 0', "a.bin: size is 16384 bytes, expected at least 16896"),
        ('RW 1 FLAT "a.bin" 32', "a.bin: size is"),
        ('RW 2 SPARSE "a.bin"', "a.bin, which has no tables"),
        ('RW 2 SESPARSE "a.bin"', "magic is"),
        ('RW 2 SPARSE "disk.vmdk"', "the descriptor itself"),
        ('RW 2 FLAT "./disk.vmdk" 0', "the descriptor itself"),
        ('RW 4096 SPARSE "t-s001.vmdk"', "4096 sectors, expected at most the 2048"),
        ('RW 2048 SPARSE "t-s001.vmdk"\nRW 2048 SPARSE "./t-s001.vmdk"', "again, expected a sparse file"),
        ("ddb.comment=none", "without extents"),
        ('RW 2 FLAT "no.bin" 0', "extent file .*no.bin is not there"),
        ('RW 2 FLAT "" 0', "extent file is ''"),
    ],
)
def test_a_line_that_cannot_be_followed_is_an_error(folder: Path, line: str, problem: str) -> None:
    with pytest.raises(Exception, match=problem) as caught:
        read(describe(folder, line))
    assert isinstance(caught.value, ImageError | NotSupportedError | NotFoundError)


@pytest.mark.parametrize("name", ["/etc/shadow", "../../../../../../etc/shadow", "nbd://host/x", "json:{}", "link"])
def test_files_elsewhere_are_not_opened(folder: Path, name: str) -> None:
    (folder / "link").symlink_to("/etc/shadow")
    with pytest.raises(ForbiddenReferenceError, match="extent file is"):
        read(describe(folder, f'RW 1 FLAT "{name}" 0', kind="monolithicFlat"))


def test_files_elsewhere_are_opened_for_whoever_trusts_the_image(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other") / "b.bin"
    other.write_bytes(b"x" * 512)
    path = describe(folder, f'RW 1 FLAT "{other}" 0')
    with disk.open(str(path), "r", access=Access(allow_backing=True)) as chain:
        assert chain.read(0, 512) == b"x" * 512


def test_many_thousand_extents_of_one_file_need_one_descriptor(folder: Path) -> None:
    path = describe(folder, *['RW 1 FLAT "a.bin" 9'] * 20_000)
    assert read(path) == (folder / "a.bin").read_bytes()[9 * 512 : 10 * 512] * 20_000


def test_one_part_of_a_split_disk_is_refused_as_such(folder: Path) -> None:
    with pytest.raises(NotSupportedError, match="one part of a disk of several files"):
        read(folder / "t-s001.vmdk")


def test_a_sparse_file_that_is_only_a_descriptor_names_its_parts(folder: Path) -> None:
    text = TEXT.format(kind="monolithicFlat", lines='RW 32 FLAT "a.bin" 0').encode()
    header = Header(b"KDMV", 1, 1, 0, 128, 1, 20, 512, 0, 0, 0, 0, b"\n \r\n", 0)
    path = folder / "only.vmdk"
    path.write_bytes(header.pack().ljust(512, b"\0") + text.ljust(20 * 512, b"\0"))
    assert read(path) == (folder / "a.bin").read_bytes() == read_by_qemu(path, "vmdk")


def test_the_capacity_that_virtualbox_rounds_up_is_what_the_descriptor_says(folder: Path) -> None:
    image = folder / "s.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", image, "1M")
    text = image.read_bytes().replace(b"RW 2048 SPARSE", b"RW 2047 SPARSE")
    image.write_bytes(text)
    assert len(read(image)) == 2047 * 512
    image.write_bytes(text.replace(b"RW 2047 SPARSE", b"RW 1000 SPARSE"))  # that is no rounding: QEMU's answer
    assert len(read(image)) == 2048 * 512


def test_a_parent_elsewhere_is_not_opened(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    base = tmp_path_factory.mktemp("other") / "base.vmdk"
    run("qemu-img", "create", "-q", "-f", "vmdk", base, "1M")
    run("qemu-img", "create", "-q", "-f", "vmdk", "-b", base, "-F", "vmdk", folder / "top.vmdk")
    with pytest.raises(ForbiddenReferenceError, match="backing file is /.*expected a file in or below"):
        disk.open(str(folder / "top.vmdk"))
    disk.open(str(folder / "top.vmdk"), access=Access(allow_backing=True)).close()


def test_a_parent_that_was_changed_is_refused_and_both_ids_are_said(folder: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "vmdk", folder / "base.vmdk", "1M")
    run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", folder / "top.vmdk")
    disk.open(str(folder / "top.vmdk")).close()
    before = cid(folder / "base.vmdk")
    run("qemu-io", "-f", "vmdk", "-c", "write 0 1M", folder / "base.vmdk")
    problem = f"base.vmdk was changed .*its CID is {cid(folder / 'base.vmdk'):08x}, expected {before:08x}"
    with pytest.raises(ImageError, match=problem):
        disk.open(str(folder / "top.vmdk"))


def test_a_parent_that_nobody_names_is_not_taken_for_zeros(folder: Path) -> None:
    """QEMU reads zeros there."""
    run("qemu-img", "create", "-q", "-f", "vmdk", folder / "base.vmdk", "1M")
    run("qemu-io", "-f", "vmdk", "-c", "write -P 5 0 1M", folder / "base.vmdk")
    run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", folder / "top.vmdk")
    hint = b'parentFileNameHint="base.vmdk"'
    text = (folder / "top.vmdk").read_bytes().replace(hint, b"# nothing".ljust(len(hint)))
    (folder / "top.vmdk").write_bytes(text)
    with pytest.raises(ImageError, match=f"stands on an image with CID {cid(folder / 'base.vmdk'):08x}"):
        disk.open(str(folder / "top.vmdk"))
    with disk.open(str(folder / "top.vmdk"), "r", access=Access(parent=str(folder / "base.vmdk"))) as chain:
        assert chain.read(0, 1 << 20) == b"\5" * (1 << 20)


def cid(path: Path) -> int:
    image = open_with(FORMAT, path)
    image.close()
    assert image.facts.specific is not None
    found = image.facts.specific["cid"]
    assert isinstance(found, int)
    return found


def test_any_kind_of_vmdk_may_be_the_parent(folder: Path) -> None:
    for kind in ("monolithicFlat", "twoGbMaxExtentSparse", "streamOptimized"):
        run("qemu-img", "convert", "-O", "vmdk", "-o", f"subformat={kind}", folder / "t.vmdk", folder / "base.vmdk")
        run("qemu-img", "create", "-q", "-f", "vmdk", "-b", "base.vmdk", "-F", "vmdk", folder / "top.vmdk")
        run("qemu-io", "-f", "vmdk", "-c", "write -P 9 150k 100k", folder / "top.vmdk")
        with disk.open(str(folder / "top.vmdk")) as chain:
            assert chain.read(0, chain.size) == read_by_qemu(folder / "top.vmdk", "vmdk")


def test_corrupt_errors_name_the_descriptor(folder: Path) -> None:
    path = describe(folder, 'RW 4096 SPARSE "t-s001.vmdk"')
    with pytest.raises(CorruptImageError, match=str(path)):
        read(path)
