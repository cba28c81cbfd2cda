"""raw beyond what every format must do: block devices, last sectors that are not whole, room reserved beforehand."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.images import MIB, run
from virtkit import disk
from virtkit.core.errors import NotSupportedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = 3 * MIB + 512


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source.raw"
    path.write_bytes(b"a" * 4096 + bytes(2 * MIB) + b"b" * (SIZE - 2 * MIB - 4096))
    return path


@pytest.mark.parametrize("preallocation", ["off", "falloc", "full"])
def test_room_is_reserved_as_asked(source: Path, preallocation: str) -> None:
    target = source.with_name("target.raw")
    options = {"preallocation": preallocation}
    disk.convert(str(source), str(target), source_format="raw", target_format="raw", options=options)
    assert target.read_bytes() == source.read_bytes()
    taken = target.stat().st_blocks * 512
    assert taken < 2 * MIB if preallocation == "off" else taken >= SIZE
    if preallocation != "falloc":  # whether reserved room is told as data is the file system's affair
        entries = json.loads(run("qemu-img", "map", "-f", "raw", "--output", "json", target))
        assert all(entry["data"] for entry in entries) == (preallocation == "full")


@pytest.mark.parametrize("preallocation", ["off", "falloc", "full"])
def test_an_empty_disk_may_be_reserved_too(tmp_path: Path, preallocation: str) -> None:
    for size in (0, 512, MIB + 512):
        target = tmp_path / f"{size}.raw"
        disk.create(str(target), size, target_format="raw", options={"preallocation": preallocation})
        assert target.read_bytes() == bytes(size)
        assert (target.stat().st_blocks * 512 >= size) == (preallocation != "off" or size == 0)


def test_metadata_is_nothing_that_a_raw_disk_has(source: Path) -> None:
    with pytest.raises(UsageError, match="option preallocation is metadata, expected one of off, falloc, full"):
        disk.convert(str(source), f"{source}.img", source_format="raw", options={"preallocation": "metadata"})


def test_a_last_sector_that_is_not_whole_is_read_and_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "odd.raw"
    path.write_bytes(b"x" * 700)
    with disk.open(str(path), "r+", "raw") as opened:
        assert opened.size == 1024
        assert opened.read(0, 1024) == b"x" * 700 + bytes(324)
        opened.write(1000, b"end")
        assert opened.read(690, 334) == b"x" * 10 + bytes(300) + b"end" + bytes(21)
    assert path.read_bytes() == (b"x" * 700).ljust(1000, b"\0") + b"end" + bytes(21)


@pytest.mark.parametrize("start", [0, 512, 700, 1023])
def test_zeros_in_a_last_sector_that_is_not_whole(tmp_path: Path, start: int) -> None:
    path = tmp_path / "odd.raw"
    path.write_bytes(b"x" * 700)
    with disk.open(str(path), "r+", "raw") as opened:
        opened.zero(start, 1024 - start)
        assert opened.read(0, 1024) == (b"x" * 700)[:start].ljust(1024, b"\0")


def test_a_block_device_is_a_disk_to_read(loop_device: str, tmp_path: Path) -> None:
    with disk.open(loop_device, "r", "raw") as opened:
        assert opened.size == 8 * MIB
        assert opened.read(8 * MIB - 5, 10) == b"sssss"
    target = tmp_path / "copy.qcow2"
    disk.convert(loop_device, str(target), source_format="raw")
    run("qemu-img", "compare", "-q", "-f", "qcow2", "-F", "raw", target, loop_device)


def test_a_block_device_is_written_where_it_is(loop_device: str, source: Path) -> None:
    """What lay there before is gone: the source's holes are zeros, and the rest of its size too."""
    disk.convert(str(source), loop_device, source_format="raw", target_format="raw", overwrite=True)
    written = Path(loop_device).read_bytes()
    assert written[:SIZE] == source.read_bytes()
    assert written[SIZE:] == b"s" * (8 * MIB - SIZE)
    with disk.open(loop_device, "r+", "raw") as opened:
        opened.write(5 * MIB + 3, b"here")
        opened.zero(4096, 8192)
        opened.discard(6 * MIB, MIB)
        assert opened.read(0, 8 * MIB) == bytes(Path(loop_device).read_bytes())
        assert opened.read(4096, 8192) == bytes(8192)
        assert opened.read(6 * MIB, MIB) == bytes(MIB)
    assert Path(loop_device).read_bytes()[5 * MIB + 3 :][:4] == b"here"


def test_what_is_discarded_on_a_block_device_takes_no_room(loop_device: str, tmp_path: Path) -> None:
    run("sync", "-f", tmp_path)
    before = (tmp_path / "store").stat().st_blocks
    with disk.open(loop_device, "r+", "raw") as opened:
        opened.discard(MIB, 4 * MIB)
    assert (tmp_path / "store").stat().st_blocks * 512 == before * 512 - 4 * MIB
    assert Path(loop_device).read_bytes() == b"s" * MIB + bytes(4 * MIB) + b"s" * 3 * MIB


def test_a_block_device_that_cannot_give_room_back_stays_as_it_is(loop_device: str) -> None:
    """Holes begin and end with a block of the device: this kernel refuses others."""
    run("losetup", "--sector-size", "4096", loop_device)
    with disk.open(loop_device, "r+", "raw") as opened:
        opened.discard(512, 512)
        assert opened.read(0, 8192) == b"s" * 8192


@pytest.fixture
def volume(loop_device: str) -> Iterator[str]:
    """A block device with a name as those of logical volumes."""
    group = Path("/dev") / f"vkt{os.getpid()}"
    group.mkdir()
    try:
        (group / "disk").symlink_to(loop_device)
        yield f"{group.name}/disk"
    finally:
        shutil.rmtree(group)


def test_a_logical_volume_is_a_disk_by_its_name(volume: str, source: Path) -> None:
    with disk.open(volume, "r", "raw") as opened:
        assert opened.name == f"/dev/{volume}"
        assert opened.read(0, 5) == b"sssss"
    disk.convert(str(source), volume, source_format="raw", target_format="raw", overwrite=True)
    assert Path("/dev", volume).read_bytes()[:SIZE] == source.read_bytes()
    with pytest.raises(UsageError, match="is the source"):
        disk.convert(f"/dev/{volume}", volume, source_format="raw", target_format="raw", overwrite=True)


def test_a_file_of_that_name_comes_first(volume: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / volume).parent.mkdir()
    (tmp_path / volume).write_bytes(b"file".ljust(512, b"\0"))
    with disk.open(volume, "r", "raw") as opened:
        assert opened.read(0, 4) == b"file"


def test_a_block_device_that_is_too_small_is_left_alone(loop_device: str, tmp_path: Path) -> None:
    big = tmp_path / "big.raw"
    big.write_bytes(bytes(9 * MIB))
    with pytest.raises(UsageError, match="size is 8 MiB, expected at least 9 MiB"):
        disk.convert(str(big), loop_device, source_format="raw", target_format="raw", overwrite=True)
    assert Path(loop_device).read_bytes() == b"s" * 8 * MIB


def test_a_block_device_keeps_its_size_and_has_all_its_room(loop_device: str, source: Path) -> None:
    with disk.open(loop_device, "r+", "raw") as opened, pytest.raises(NotSupportedError, match="is a block device"):
        opened.resize(4 * MIB)
    options = {"preallocation": "full"}
    with pytest.raises(UsageError, match="is a block device, which has all its room"):
        disk.convert(
            str(source), loop_device, source_format="raw", target_format="raw", overwrite=True, options=options
        )
