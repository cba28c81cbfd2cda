"""Partition tables that sfdisk, parted and sgdisk wrote (tests/data/partitions/make.sh), and broken ones."""

from __future__ import annotations

import json
import lzma
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from virtkit import disk
from virtkit.disk import partitions

if TYPE_CHECKING:
    from virtkit.disk.partitions import Table

DATA = Path(__file__).parent.parent / "data" / "partitions"
NAMES = ("mbr-logical", "gpt-sfdisk", "gpt-parted", "gpt-sgdisk")
SIZE = 16 << 20


class Told(TypedDict, total=False):
    """A partition as ``sfdisk --json`` shows it, in sectors."""

    node: str
    start: int
    size: int
    type: str
    name: str
    bootable: bool


def told(name: str) -> list[Told]:
    index = json.loads((DATA / "index.json").read_text())
    found: list[Told] = index[name]["partitiontable"]["partitions"]
    return found


def content(name: str) -> bytearray:
    return bytearray(lzma.decompress((DATA / f"{name}.xz").read_bytes()))


def found(folder: Path, data: bytes | bytearray, size: int = SIZE) -> Table | None:
    path = folder / "disk"
    with path.open("wb") as file:
        file.write(data)
        file.truncate(size)
    with disk.open(str(path), "r", "raw") as chain:
        return partitions.find(chain)


def table(folder: Path, data: bytes | bytearray, size: int = SIZE) -> Table:
    answer = found(folder, data, size)
    assert answer is not None
    return answer


@pytest.mark.parametrize("name", NAMES)
def test_finds_what_sfdisk_finds(name: str, tmp_path: Path) -> None:
    answer = table(tmp_path, content(name))
    assert answer.problems == ()
    ours = [(f"{name}{one.number}", one.start, one.length, one.name, one.bootable) for one in answer.partitions]
    theirs = [
        (
            one["node"],
            one["start"] * 512,
            one["size"] * 512,
            one.get("name", ""),
            one.get("bootable", False),
        )
        for one in told(name)
    ]
    assert ours == theirs
    types = [(int(one.type, 16) if answer.scheme == "mbr" else one.type) for one in answer.partitions]
    assert types == [(int(one["type"], 16) if answer.scheme == "mbr" else one["type"]) for one in told(name)]


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_gpt_with_a_broken_first_copy_is_read_from_the_backup(name: str, tmp_path: Path) -> None:
    data = content(name)
    whole = table(tmp_path, data)
    data[512 + 40] ^= 1
    answer = table(tmp_path, data)
    assert answer.partitions == whole.partitions
    assert answer.problems == ("GPT header at byte 0x200: checksum is wrong",)
    data[-512 + 40] ^= 1
    lost = table(tmp_path, data)
    assert (lost.scheme, lost.partitions, len(lost.problems)) == ("gpt", (), 2)


def test_entries_that_were_changed_are_not_believed(tmp_path: Path) -> None:
    data = content("gpt-sfdisk")
    data[1024 + 32] ^= 1
    answer = table(tmp_path, data)
    assert "checksum of its entries is wrong" in answer.problems[0]
    assert len(answer.partitions) == 2


def test_the_gpt_of_a_disk_that_has_grown_is_still_read(tmp_path: Path) -> None:
    answer = table(tmp_path, content("gpt-parted"), 2 * SIZE)
    assert answer.backup == SIZE - 512
    assert answer.tail == 33 * 512
    assert answer.end == 12 << 20


def test_a_gpt_of_sectors_of_4_kib_is_read(tmp_path: Path) -> None:
    small = content("gpt-sfdisk")
    header, entries = bytearray(small[512 : 512 + 92]), bytes(small[1024 : 1024 + 128 * 128])
    header[16:20] = bytes(4)
    header[16:20] = struct.pack("<I", zlib.crc32(header))
    big = small[:512].ljust(4096, b"\0") + header.ljust(4096, b"\0") + entries
    answer = table(tmp_path, big, 8 * SIZE)
    assert [one.start for one in answer.partitions] == [2048 * 4096, 6144 * 4096]


def test_a_partition_behind_the_end_and_two_that_overlap_are_told(tmp_path: Path) -> None:
    data = content("mbr-logical")
    assert table(tmp_path, data, 8 << 20).problems[0].startswith("partition 3 ends at byte 14680064, behind the end")
    data[446 + 16 + 8 : 446 + 16 + 12] = (2048).to_bytes(4, "little")
    assert table(tmp_path, data).problems == ("partitions 1 and 2 overlap at byte 1048576",)


def test_logical_partitions_that_go_in_a_circle_end(tmp_path: Path) -> None:
    data = content("mbr-logical")
    second = 8192 * 512 + 446 + 16  # the entry that names the next record
    data[second + 8 : second + 12] = bytes(4)
    answer = table(tmp_path, data)
    assert [one.number for one in answer.partitions] == [1, 2, 3, 5]


@pytest.mark.parametrize("first", [b"", b"\xeb\x3c\x90mkfs.fat", b"\0" * 510 + b"\x55\xaa"], ids=["zeros", "fat", "no"])
def test_no_table_is_no_table(first: bytes, tmp_path: Path) -> None:
    assert found(tmp_path, first.ljust(510, b"\x66") + b"\x55\xaa" if first.startswith(b"\xeb") else first) is None


@settings(max_examples=deep(60), deadline=None)
@given(name=st.sampled_from(NAMES), data=st.data())
def test_whatever_a_guest_writes_ends_in_an_answer(
    name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    disk_bytes = content(name)[: 1 << 20]
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.one_of(st.integers(446, 511), st.integers(512, 604), st.integers(1024, 1400)))
        disk_bytes[at] = data.draw(st.integers(0, 255))
    folder = tmp_path_factory.mktemp("hostile")
    answer = found(folder, disk_bytes)
    assert answer is None or all(one.length > 0 for one in answer.partitions)
