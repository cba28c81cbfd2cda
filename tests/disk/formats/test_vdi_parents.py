"""VDI images on parents, which VDI names by UUID alone; the images are VirtualBox's."""

from __future__ import annotations

import lzma
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.images import MIB
from virtkit import disk
from virtkit.core.errors import ForbiddenReferenceError, ImageError, NotFoundError, NotSupportedError, UsageError
from virtkit.disk.format import Kind
from virtkit.disk.formats.vdi.layout import DIFFERENCING, DYNAMIC, NOBODY, Header

if TYPE_CHECKING:
    from virtkit.disk.live import LiveChain

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "virtualbox-vdi-differencing"
ANYWHERE = disk.Access(allow_backing=True)


@pytest.fixture
def family(tmp_path: Path) -> Path:
    """top.vdi on middle.vdi on base.vdi."""
    for packed in GOLDEN.glob("*.xz"):
        (tmp_path / packed.stem).write_bytes(lzma.decompress(packed.read_bytes()))
    return tmp_path


def header_of(path: Path) -> Header:
    with path.open("rb") as file:
        return Header.parse(file.read(Header.SIZE))


def names(path: Path, access: disk.Access = disk.READ_ONLY) -> list[str]:
    with disk.open(str(path), "r", None, access) as chain:
        return [os.path.basename(layer.image.file.name) for layer in chain.layers]


def content(path: Path, access: disk.Access = disk.READ_ONLY) -> bytes:
    with disk.open(str(path), "r", None, access) as chain:
        return chain.read(0, chain.size)


def test_parents_are_found_by_their_uuid_whatever_they_are_called(family: Path) -> None:
    before = content(family / "top.vdi")
    (family / "middle.vdi").rename(family / "a different name.VDI")
    (family / "base.vdi").rename(family / "base")
    assert names(family / "top.vdi") == ["top.vdi", "a different name.VDI", "base"]
    assert content(family / "top.vdi") == before


def test_files_that_are_no_images_are_passed_over(family: Path) -> None:
    (family / "a.vdi").write_bytes(b"")
    (family / "b.vdi").write_bytes(bytes(4096))
    (family / "c.vdi").mkdir()
    os.mkfifo(family / "d.vdi")
    (family / "e.vdi").symlink_to("/nowhere")
    assert names(family / "top.vdi") == ["top.vdi", "middle.vdi", "base.vdi"]


def test_a_parent_that_is_not_there_is_an_error_with_the_name_that_virtualbox_gives_it(family: Path) -> None:
    (family / "middle.vdi").unlink()
    assert disk.info(str(family / "top.vdi")).backing is not None
    with pytest.raises(NotFoundError, match=r"backing file .*/\{[0-9a-f-]{36}\}\.vdi is not there") as missing:
        names(family / "top.vdi")
    assert missing.value.hint.endswith("--parent FILE")


def test_the_disk_of_a_snapshot_lies_above_its_folder_as_virtualbox_has_it(family: Path) -> None:
    snapshots = family / "Snapshots"
    snapshots.mkdir()
    shutil.move(family / "top.vdi", snapshots)
    shutil.move(family / "middle.vdi", snapshots)
    with pytest.raises(NotFoundError):
        names(snapshots / "top.vdi")
    assert names(snapshots / "top.vdi", ANYWHERE) == ["top.vdi", "middle.vdi", "base.vdi"]


def test_a_link_to_an_image_elsewhere_is_not_followed(family: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "middle.vdi"
    shutil.move(family / "middle.vdi", elsewhere)
    (family / "middle.vdi").symlink_to(elsewhere)
    with pytest.raises((NotFoundError, ForbiddenReferenceError)):
        names(family / "top.vdi")


def test_the_user_may_name_the_parent(family: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    before = content(family / "top.vdi")
    shutil.move(family / "top.vdi", elsewhere)
    assert content(elsewhere / "top.vdi", disk.Access(parent=str(family / "middle.vdi"))) == before


def test_another_image_is_no_parent(family: Path) -> None:
    with pytest.raises(ImageError, match=r"parent .*base.vdi has UUID \{.*\}, expected \{"):
        content(family / "top.vdi", disk.Access(parent=str(family / "base.vdi")))


def test_a_parent_that_was_written_to_is_one_no_more(family: Path) -> None:
    with disk.open(str(family / "middle.vdi"), "r+") as chain:
        chain.write(0, b"changed")
    with pytest.raises(ImageError, match="middle.vdi was changed after this image was made on it"):
        content(family / "top.vdi")


def test_opening_for_writing_alone_changes_nothing(family: Path) -> None:
    before = {path.name: path.read_bytes() for path in family.glob("*.vdi")}
    with disk.open(str(family / "middle.vdi"), "r+") as chain:
        chain.read(0, 512)
    assert {path.name: path.read_bytes() for path in family.glob("*.vdi")} == before


def kinds(chain: LiveChain) -> list[Kind]:
    return [extent.kind for extent in chain.top.extents(0, chain.size)]


def test_a_child_is_written_and_its_parent_stays(family: Path) -> None:
    expected = bytearray(content(family / "top.vdi"))
    below = content(family / "middle.vdi")
    with disk.open(str(family / "top.vdi"), "r+") as chain:
        chain.write(2 * MIB + 100, b"child")
        expected[2 * MIB + 100 : 2 * MIB + 105] = b"child"
        chain.zero(3 * MIB, MIB)
        expected[3 * MIB : 4 * MIB] = bytes(MIB)
        chain.write(chain.size - 1, b"!")
        expected[-1:] = b"!"
        assert chain.read(0, chain.size) == expected
    assert content(family / "top.vdi") == expected
    assert content(family / "middle.vdi") == below
    assert disk.check(str(family / "top.vdi")).findings[:2] == (0, 0)


def test_forgotten_blocks_are_the_parents_again(family: Path) -> None:
    below = content(family / "middle.vdi")
    with disk.open(str(family / "top.vdi"), "r+") as chain:
        chain.top.forget(0, chain.size)
        assert kinds(chain) == [Kind.HOLE]
        assert chain.read(0, chain.size) == below
    assert header_of(family / "top.vdi").blocks_allocated == 0


def test_a_child_gets_another_parent_or_none(family: Path) -> None:
    with disk.open(str(family / "top.vdi"), "r+") as chain, disk.open(str(family / "base.vdi")) as base:
        chain.top.set_backing(disk.info(str(family / "middle.vdi")).backing, base.layers[0].image)
    assert names(family / "top.vdi") == ["top.vdi", "base.vdi"]
    with disk.open(str(family / "top.vdi"), "r+") as chain:
        chain.top.set_backing(None, None)
    assert names(family / "top.vdi") == ["top.vdi"]
    header = header_of(family / "top.vdi")
    assert (header.image_type, header.uuid_link, header.uuid_parent) == (DYNAMIC, NOBODY, NOBODY)


def test_only_vdi_images_can_be_parents(family: Path) -> None:
    raw = family / "disk.raw"
    raw.write_bytes(bytes(MIB))
    backing = disk.info(str(family / "top.vdi")).backing
    with (
        disk.open(str(family / "top.vdi"), "r+") as chain,
        disk.open(str(raw), "r", "raw") as other,
        pytest.raises(NotSupportedError, match="VDI names its parent by UUID"),
    ):
        chain.top.set_backing(backing, other.layers[0].image)


def test_a_new_child_holds_what_differs_and_names_its_parent(family: Path) -> None:
    made = str(family / "new.vdi")
    disk.convert(str(family / "top.vdi"), made, backing="middle.vdi", backing_format="vdi")
    assert names(Path(made)) == ["new.vdi", "middle.vdi", "base.vdi"]
    assert content(Path(made)) == content(family / "top.vdi")
    header, parent = header_of(Path(made)), header_of(family / "middle.vdi")
    assert header.image_type == DIFFERENCING
    assert (header.uuid_link, header.uuid_parent) == (parent.uuid, parent.uuid_last_snapshot)
    assert header.blocks_allocated == header_of(family / "top.vdi").blocks_allocated


def test_a_static_child_is_refused(family: Path) -> None:
    with pytest.raises(UsageError, match="a static image has no backing file"):
        disk.convert(
            str(family / "top.vdi"),
            str(family / "new.vdi"),
            backing="middle.vdi",
            backing_format="vdi",
            options={"static": "on"},
        )
