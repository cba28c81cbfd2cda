"""COW of QEMU and of User-Mode Linux: QEMU's structure as a C compiler lays it out, UML's as its own tools read it."""

from __future__ import annotations

import ctypes
import os
import random
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.powercut import Diary
from virtkit import disk
from virtkit.core.errors import CorruptImageError, ImageError, NotSupportedError, UsageError
from virtkit.disk.access import Access
from virtkit.disk.chain import Layer
from virtkit.disk.file import File
from virtkit.disk.formats.cow import FORMAT, layout, signature
from virtkit.disk.formats.cow.bitmap import Bitmap
from virtkit.disk.live import LiveChain

if TYPE_CHECKING:
    from pathlib import Path

SECTOR = 512
SECTORS = 1541  # some bytes of the bitmap, and a rest


class CowHeaderV2(ctypes.BigEndianStructure):
    """``struct cow_header_v2`` of QEMU's block/cow.c; ctypes lays it out as the C compiler of this machine does."""

    _fields_ = (
        ("magic", ctypes.c_uint32),
        ("version", ctypes.c_uint32),
        ("backing_file", ctypes.c_char * 1024),
        ("mtime", ctypes.c_int32),
        ("size", ctypes.c_uint64),
        ("sectorsize", ctypes.c_uint32),
    )


def by_qemu(path: Path, sectors: dict[int, bytes], backing: bytes = b"") -> Path:
    """What QEMU's cow_write left: header, bitmap, and each sector at its place behind them."""
    header = CowHeaderV2(0x4F4F4F4D, 2, backing, 0, SECTORS * SECTOR, SECTOR)
    bitmap = bytearray(-(-SECTORS // 8))
    for number in sectors:
        bitmap[number // 8] |= 1 << number % 8
    front = bytes(header) + bitmap
    data = bytearray((max(sectors, default=-1) + 1) * SECTOR)
    for number, content in sectors.items():
        data[number * SECTOR : (number + 1) * SECTOR] = content
    path.write_bytes(front.ljust(-(-len(front) // SECTOR) * SECTOR, b"\0") + data)
    return path


@settings(max_examples=deep(20), deadline=None)
@given(
    used=st.sets(st.integers(0, SECTORS - 1), max_size=60),
    at=st.integers(0, SECTORS * SECTOR),
    length=st.integers(1, 90000),
)
def test_reads_the_structure_of_qemu(
    used: set[int], at: int, length: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    sectors = {number: bytes([number % 255 + 1]) * SECTOR for number in used}
    path = by_qemu(tmp_path_factory.mktemp("cow") / "image.cow", sectors)
    guest = b"".join(sectors.get(number, bytes(SECTOR)) for number in range(SECTORS))
    with disk.open(str(path)) as chain:
        assert chain.size == len(guest)
        assert chain.read(0, chain.size) == guest
        assert chain.read(at, length) == guest[at : at + length]


def test_our_header_is_laid_out_as_that_of_the_compiler() -> None:
    assert layout.Qemu2.SIZE == ctypes.sizeof(CowHeaderV2) == 1056
    for ours, theirs in (
        ("backing_name", "backing_file"),
        ("mtime", "mtime"),
        ("size", "size"),
        ("sector_size", "sectorsize"),
    ):
        assert layout.Qemu2.offset_of(ours) == getattr(CowHeaderV2, theirs).offset


def test_the_structure_of_32_bits_is_told_by_its_sector_size(tmp_path: Path) -> None:
    header = layout.Qemu2On32Bits(signature.MAGIC, 2, b"", 0, 16 * SECTOR, SECTOR)
    path = tmp_path / "old.cow"
    path.write_bytes(header.pack().ljust(1048, b"\0") + b"\2\0" + bytes(1536 - 1050) + bytes(SECTOR) + b"x" * SECTOR)
    with disk.open(str(path)) as chain:
        assert chain.read(0, 3 * SECTOR) == bytes(SECTOR) + b"x" * SECTOR + bytes(SECTOR)


def raw(path: Path, size: int) -> bytes:
    content = random.Random(3).randbytes(size)
    path.write_bytes(content)
    return content


def merged_by_uml(image: Path) -> bytes:
    """The disk as User-Mode Linux's own tool sees it."""
    subprocess.run(["uml_moo", image.name, "whole.raw"], cwd=image.parent, check=True, capture_output=True, timeout=60)
    return (image.parent / "whole.raw").read_bytes()


@settings(max_examples=deep(10), deadline=None)
@given(writes=st.lists(st.tuples(st.integers(0, 2047), st.integers(1, 200), st.integers(1, 255)), max_size=8))
def test_user_mode_linux_reads_what_we_write(
    writes: list[tuple[int, int, int]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("uml")
    guest = bytearray(raw(folder / "below.raw", 1 << 20))
    disk.create(str(folder / "top.cow"), None, target_format="cow", backing="below.raw", backing_format="raw")
    with disk.open(str(folder / "top.cow"), "r+") as live:
        for start, count, value in writes:
            at, length = start * SECTOR, min(count, 2048 - start) * SECTOR
            live.write(at, bytes([value]) * length)
            guest[at : at + length] = bytes([value]) * length
    assert merged_by_uml(folder / "top.cow") == guest


def test_a_backing_file_that_has_changed_is_told_with_both_times(tmp_path: Path) -> None:
    raw(tmp_path / "below.raw", 1 << 20)
    os.utime(tmp_path / "below.raw", (1_700_000_000, 1_700_000_000))
    subprocess.run(["uml_mkcow", "top.cow", "below.raw"], cwd=tmp_path, check=True, capture_output=True)
    disk.open(str(tmp_path / "top.cow"), access=Access(allow_backing=True)).close()
    os.utime(tmp_path / "below.raw", (1_800_000_000, 1_800_000_000))
    with pytest.raises(
        ImageError, match=r"modified at 2027-01-15 08:00:00 UTC, expected 2023-11-14 22:13:20 UTC"
    ) as told:
        disk.open(str(tmp_path / "top.cow"), access=Access(allow_backing=True))
    assert "touch -d @1700000000" in told.value.hint


def test_what_a_commit_changes_below_is_known_above(tmp_path: Path) -> None:
    guest = bytearray(raw(tmp_path / "below.raw", 1 << 20))
    disk.create(str(tmp_path / "top.cow"), None, target_format="cow", backing="below.raw", backing_format="raw")
    with disk.open(str(tmp_path / "top.cow"), "r+") as live:
        live.write(5000, b"new" * 1000)
    guest[5000:8000] = b"new" * 1000
    disk.commit(str(tmp_path / "top.cow"))
    assert (tmp_path / "below.raw").read_bytes() == guest
    assert merged_by_uml(tmp_path / "top.cow") == guest


@pytest.mark.parametrize("start", [b"MOOO\1\0\0\0", b"OOOM\0\0\0\1"], ids=["little", "big"])
def test_version_1_is_refused_with_the_reason(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "old.cow").write_bytes(start.ljust(8192, b"\0"))
    with pytest.raises(NotSupportedError, match="in which byte order"):
        disk.open(str(tmp_path / "old.cow"))


def test_a_size_at_which_user_mode_linux_lays_the_bitmap_over_the_data_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="lays its bitmap over the data"):
        disk.create(str(tmp_path / "a.cow"), (4096 * 8 + 1) * SECTOR, target_format="cow", options={"variant": "uml"})


@pytest.mark.parametrize("length", [0, 7, 1000, 1055, 1056, 1200, 1536, 2000])
def test_a_file_that_is_cut_short_is_an_error(length: int, tmp_path: Path) -> None:
    path = by_qemu(tmp_path / "image.cow", {1: b"x" * SECTOR})
    os.truncate(path, length)
    with pytest.raises(ImageError), disk.open(str(path), "r", "cow") as chain:
        chain.read(0, chain.size)


def test_every_field_may_hold_anything(tmp_path: Path) -> None:
    whole = by_qemu(tmp_path / "image.cow", {1: b"x" * SECTOR}).read_bytes()
    refused = 0
    for name in ("version", "size", "sector_size"):
        at = layout.Qemu2.offset_of(name)
        for value in (b"\xff" * 8, b"\0" * 8, b"\x7f" + b"\xff" * 7, b"\0\0\0\1" * 2):
            width = 8 if name == "size" else 4
            (tmp_path / "changed.cow").write_bytes(whole[:at] + value[:width] + whole[at + width :])
            try:
                with disk.open(str(tmp_path / "changed.cow"), "r", "cow") as chain:
                    chain.read(0, 1 << 20)
            except (CorruptImageError, NotSupportedError):
                refused += 1
    assert refused >= 8


@settings(max_examples=deep(50), deadline=None)
@given(
    changes=st.lists(st.tuples(st.integers(0, 70000), st.integers(0, 70000), st.booleans()), max_size=6),
    window=st.tuples(st.integers(0, 70000), st.integers(0, 70000)),
    stored=st.booleans(),
)
def test_runs_are_those_of_the_bits(
    changes: list[tuple[int, int, bool]],
    window: tuple[int, int],
    stored: bool,  # noqa: FBT001  hypothesis gives it by name
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    path = tmp_path_factory.mktemp("bits") / "bits"
    path.write_bytes(bytes(100 + 70000 // 8))
    file = File.open(path, writable=True)
    bits, model = Bitmap(file, 100, 70000), [False] * 70000
    for one, other, here in changes:
        first, last = sorted((one, other))
        bits.change(first, last, here=here)
        model[first:last] = [here] * (last - first)
    if stored:
        bits.store()
        bits = Bitmap(file, 100, 70000)
    first, last = sorted(window)
    found = list(bits.runs(first, last))
    file.close()
    assert [run.here for run in found for _ in range(run.begin, run.end)] == model[first:last]
    assert all(one.here is not other.here and one.end == other.begin for one, other in pairwise(found))


@settings(max_examples=deep(15), deadline=None)
@given(
    script=st.lists(
        st.tuples(st.sampled_from(["write", "discard", "flush"]), st.integers(0, SECTORS - 1), st.integers(1, 40)),
        min_size=2,
        max_size=12,
    ),
    seed=st.integers(0, 1 << 32),
)
def test_a_power_cut_at_any_moment_leaves_a_sound_image(
    script: list[tuple[str, int, int]], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    diary = Diary.open(by_qemu(folder / "image.cow", {}), writable=True)
    live = LiveChain([Layer(FORMAT.open(diary, Access(writable=True)), "cow")])
    may_be: list[set[int]] = [{0} for _ in range(SECTORS)]
    for value, (what, start, count) in enumerate(script, 1):
        where = range(start, min(start + count, SECTORS))
        if what == "flush":
            live.flush()
        elif what == "write":
            live.write(start * SECTOR, bytes([value]) * len(where) * SECTOR)
        else:
            live.discard(start * SECTOR, len(where) * SECTOR)
        for sector in where if what != "flush" else ():
            may_be[sector] |= {value if what == "write" else 0}
    chance, left = random.Random(seed), folder / "left.cow"
    for _ in range(8):
        diary.after_a_power_cut(left, chance.randrange(len(diary.changes) + 1), chance)
        assert disk.check(str(left)).findings.corruptions == 0
        with disk.open(str(left)) as chain:
            seen = chain.read(0, chain.size)
        assert all(seen[number * SECTOR] in allowed for number, allowed in enumerate(may_be))
    live.close()
