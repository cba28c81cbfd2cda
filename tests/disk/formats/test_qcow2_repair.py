"""Damaged images are mended: QEMU finds nothing wrong with them afterwards, and reads what it read before."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.damage import KINDS, Subject, counted_by_qemu, counts_of, damage, make_subject
from support.depth import deep
from support.images import read_by_qemu, run
from virtkit.core.progress import Event, Note
from virtkit.disk.file import File
from virtkit.disk.formats.qcow2 import FORMAT
from virtkit.disk.formats.qcow2.head import read_head
from virtkit.disk.formats.qcow2.layout import OFFSET, Features, Header

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.format import Findings
    from virtkit.disk.formats.qcow2.head import Head

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(6), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module", params=KINDS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    return make_subject(tmp_path_factory.mktemp("repair"), request.param)


def repaired(path: Path, *, leaks_only: bool = False) -> tuple[Findings, list[str]]:
    """What is left, and what was told."""
    told: list[Event] = []
    image = FORMAT.open(File.open(path, writable=True))
    try:
        left = FORMAT.repair(image, leaks_only=leaks_only, report=told.append)
    finally:
        image.close()
    return left, [event.text for event in told if isinstance(event, Note)]


def head_of(path: Path) -> Head:
    file = File.open(path)
    try:
        return read_head(file)
    finally:
        file.close()


def patch(path: Path, at: int, value: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(value)


def number_at(path: Path, at: int) -> int:
    return int.from_bytes(path.read_bytes()[at : at + 8], "big")


def assert_sound(path: Path) -> None:
    counts = counted_by_qemu(path)
    assert (counts.corruptions, counts.leaks) == (0, 0)


def test_a_sound_image_is_left_alone(subject: Subject, tmp_path: Path) -> None:
    path = shutil.copyfile(subject.path, tmp_path / "a.qcow2")
    left, told = repaired(path)
    assert (left.corruptions, left.leaks, told) == (0, 0, [])
    assert path.read_bytes() == subject.path.read_bytes()


@SEVERAL
@given(seed=st.integers(0, 1 << 32))
def test_whatever_is_damaged_is_sound_afterwards(subject: Subject, tmp_path: Path, seed: int) -> None:
    path = shutil.copyfile(subject.path, tmp_path / "damaged.qcow2")
    damage(path, subject, random.Random(seed))
    left, _told = repaired(path)
    assert counts_of(left) == counted_by_qemu(path)
    assert left.leaks == 0
    assert all("more often than a refcount can say" in detail for detail in left.details)
    assert left.corruptions == len(left.details)


@SEVERAL
@given(seed=st.integers(0, 1 << 32))
def test_wrong_refcounts_cost_no_data(subject: Subject, tmp_path: Path, seed: int) -> None:
    path = shutil.copyfile(subject.path, tmp_path / "damaged.qcow2")
    before = read_by_qemu(path, "qcow2")
    chance = random.Random(seed)
    table = subject.head.header.refcount_table_offset
    block = number_at(path, table)
    for _ in range(chance.randint(1, 4)):
        patch(path, block + chance.randrange(1, subject.head.cluster_size // 64), chance.randbytes(1))
    if chance.random() < 0.3:
        patch(path, table, chance.choice([0, block | 0x10, block + 512, 1 << 40, 0x10000]).to_bytes(8, "big"))
    repaired(path)
    assert_sound(path)
    assert read_by_qemu(path, "qcow2") == before


@SEVERAL
@given(seed=st.integers(0, 1 << 32))
def test_leaks_alone_are_mended_where_only_leaks_shall_be(subject: Subject, tmp_path: Path, seed: int) -> None:
    """And no cluster that is used too often becomes free: whatever else is wrong stays as wrong."""
    path = shutil.copyfile(subject.path, tmp_path / "damaged.qcow2")
    damage(path, subject, random.Random(seed))
    before = counted_by_qemu(path)
    left, _ = repaired(path, leaks_only=True)
    assert counts_of(left) == counted_by_qemu(path)
    assert left.leaks == 0 or before.corruptions
    assert left.corruptions <= before.corruptions or left.corruptions - before.corruptions <= before.leaks


def test_marks_of_a_crash_are_taken_off_when_all_is_well(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", path, "4M")
    killed = ["-c", "write -P 7 1M 300k", "-c", "write -P 8 2M 64k", "-c", "abort"]
    subprocess.run(["qemu-io", "-f", "qcow2", "-t", "writeback", *killed, path], capture_output=True, check=False)
    patch(path, Header.SIZE + Features.offset_of("incompatible") + 7, b"\3")
    copy = shutil.copyfile(path, tmp_path / "copy.qcow2")
    left, told = repaired(path)
    assert left.corruptions == left.leaks == 0
    assert told[-1] == "header: the marks dirty and corrupt are taken off"
    subprocess.run(["qemu-img", "check", "-q", "-r", "all", copy], capture_output=True, check=False)
    assert_sound(path)
    assert read_by_qemu(path, "qcow2") == read_by_qemu(copy, "qcow2")
    assert not head_of(path).features.incompatible


def test_refcount_blocks_that_lie_on_data_are_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "4M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 300k", path)
    before = read_by_qemu(path, "qcow2")
    head = head_of(path)
    l2_table = number_at(path, head.header.l1_offset) & OFFSET
    patch(path, head.header.refcount_table_offset, l2_table.to_bytes(8, "big"))
    _left, told = repaired(path)
    assert any(line.startswith("refcounts: counted anew") for line in told)
    assert_sound(path)
    assert read_by_qemu(path, "qcow2") == before


def test_entries_behind_the_end_of_a_file_that_was_cut_read_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "8M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 2M", "-c", "write -P 8 2M 2M", path)
    whole = bytearray(read_by_qemu(path, "qcow2"))
    os.truncate(path, path.stat().st_size - (1 << 20))
    _left, told = repaired(path)
    assert any("entries that could not be" in line for line in told)
    assert_sound(path)
    whole[3 << 20 : 4 << 20] = bytes(1 << 20)
    assert read_by_qemu(path, "qcow2") == whole


@pytest.mark.parametrize("extra", [0, 8, 5000])
def test_extra_data_of_snapshots_are_made_as_long_as_they_have_to_be(extra: int, tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "4M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 1M 300k", path)
    run("qemu-img", "snapshot", "-c", "one", path)
    at = head_of(path).header.snapshots_offset
    entry = path.read_bytes()[at : at + 68]
    patch(path, at, entry[:36] + extra.to_bytes(4, "big") + bytes(extra) + b"1one" + bytes(64))
    _left, told = repaired(path)
    assert any(line.startswith("snapshot one: its extra data") for line in told)
    assert_sound(path)
    assert "one" in run("qemu-img", "snapshot", "-l", path)
    run("qemu-img", "snapshot", "-a", "one", path)


def test_a_snapshot_whose_table_is_nowhere_is_dropped_and_said(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "4M")
    for name in ("one", "two"):
        run("qemu-io", "-f", "qcow2", "-c", "write 1M 300k", path)
        run("qemu-img", "snapshot", "-c", name, path)
    patch(path, head_of(path).header.snapshots_offset, (513).to_bytes(8, "big"))
    _left, told = repaired(path)
    assert "snapshot one: has no L1 table that could be, and is dropped" in told
    assert_sound(path)
    assert run("qemu-img", "snapshot", "-l", path).count("two") == 1
    assert "one" not in run("qemu-img", "snapshot", "-l", path)


def test_bitmap_entries_that_name_nothing_count_as_written(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "64M")
    run("qemu-img", "bitmap", "--add", path, "daily")
    file = File.open(path)
    head = read_head(file)
    from virtkit.disk.formats.qcow2 import bitmaps

    (bitmap,) = bitmaps.read(file, head)
    file.close()
    patch(path, bitmap.entry.table_offset, (0x1234).to_bytes(8, "big"))
    _left, told = repaired(path)
    assert told == ["bitmap daily: 1 entries that could not be; what they are for counts as written"]
    assert number_at(path, bitmap.entry.table_offset) == 1
    assert_sound(path)


def test_bitmaps_that_another_program_ignored_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", path, "64M")
    run("qemu-img", "bitmap", "--add", path, "daily")
    patch(path, Header.SIZE + Features.offset_of("autoclear"), bytes(8))
    assert counted_by_qemu(path).leaks
    repaired(path)
    assert_sound(path)
    assert "daily" not in run("qemu-img", "info", path)
