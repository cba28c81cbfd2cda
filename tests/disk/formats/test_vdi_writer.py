"""New VDI images: laid out as VirtualBox does, read by QEMU."""

from __future__ import annotations

import lzma
from pathlib import Path
from uuid import UUID

import pytest

from support.images import MIB, read_by_qemu, run
from support.images import disk as sample
from virtkit import disk
from virtkit.core.errors import UsageError
from virtkit.disk.formats.vdi.layout import DYNAMIC, NOBODY, STATIC, Header

pytestmark = pytest.mark.qemu
GOLDEN = Path(__file__).parents[2] / "data" / "golden"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.raw"
    path.write_bytes(sample())
    return path


def convert(source: Path, name: str, **options: str) -> Path:
    target = source.with_name(name)
    disk.convert(str(source), str(target), source_format="raw", options=options)
    return target


def header_of(path: Path) -> Header:
    with path.open("rb") as file:
        return Header.parse(file.read(Header.SIZE))


@pytest.mark.parametrize(("option", "kind"), [("off", DYNAMIC), ("on", STATIC)])
def test_the_header_is_the_one_that_virtualbox_writes(source: Path, option: str, kind: int) -> None:
    """All but the UUIDs, and the blocks that VirtualBox did not have to allocate for its other disk."""
    name = "standard" if kind == DYNAMIC else "fixed"
    packed = GOLDEN / f"virtualbox-vdi-{name}" / f"vdi-{name}.vdi.xz"
    theirs = Header.parse(lzma.decompress(packed.read_bytes()))
    ours = convert(source, "ours.vdi", static=option)
    unlike: dict[str, int | bytes] = {"uuid": NOBODY, "uuid_last_snapshot": NOBODY, "blocks_allocated": 0}
    assert header_of(ours).changed(**unlike) == theirs.changed(**unlike)
    assert ours.read_bytes()[Header.SIZE : MIB] == lzma.decompress(packed.read_bytes())[Header.SIZE : MIB]
    assert header_of(ours).image_type == kind
    assert read_by_qemu(ours, "vdi") == sample()
    run("qemu-img", "check", "-q", ours)


def test_every_image_has_uuids_of_its_own(source: Path) -> None:
    headers = [header_of(convert(source, f"{number}.vdi")) for number in range(3)]
    uuids = {uuid for header in headers for uuid in (header.uuid, header.uuid_last_snapshot)}
    assert len(uuids) == 6
    assert {UUID(bytes_le=uuid).version for uuid in uuids} == {4}


def test_the_uuid_may_be_said(source: Path) -> None:
    said = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
    assert header_of(convert(source, "said.vdi", uuid=said)).uuid == UUID(said).bytes_le


@pytest.mark.parametrize("size", ["128K", "512K", "4M", "128M"])
def test_blocks_of_other_sizes_hold_the_same(source: Path, size: str) -> None:
    made = convert(source, "other.vdi", block_size=size)
    with disk.open(str(made)) as chain:
        assert chain.read(0, chain.size) == sample()
    assert disk.check(str(made)).findings[:2] == (0, 0)


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("static", "yes", "expected on or off"),
        ("block_size", "3M", "expected a power of two from 128K to 128M"),
        ("block_size", "64K", "expected a power of two"),
        ("uuid", "me", "option uuid is me, expected one as"),
        ("preallocation", "full", "option preallocation is not known"),
    ],
)
def test_options_that_make_no_sense_are_refused(source: Path, option: str, value: str, wanted: str) -> None:
    with pytest.raises(UsageError, match=wanted):
        convert(source, "none.vdi", **{option: value})
    assert not source.with_name("none.vdi").exists()


def test_an_empty_disk_of_many_terabytes_is_its_map_alone(tmp_path: Path) -> None:
    source = tmp_path / "huge.raw"
    with source.open("wb") as file:
        file.truncate(10 << 40)
        file.seek((9 << 40) + 12345)
        file.write(b"far away")
    made = convert(source, "huge.vdi")
    assert made.stat().st_size == 42 * MIB  # 1 MiB, 40 MiB of map, one block
    run("qemu-img", "check", "-q", made)
    with disk.open(str(made)) as chain:
        assert chain.size == 10 << 40
        assert chain.read((9 << 40) + 12345, 8) == b"far away"
