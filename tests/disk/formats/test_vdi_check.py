"""What is wrong with a VDI image, told and mended; QEMU's check is the judge."""

from __future__ import annotations

import os
import random
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.images import MIB, Specimen, read_by_qemu, run
from virtkit import disk
from virtkit.disk.file import File
from virtkit.disk.format import Findings
from virtkit.disk.formats.vdi import FORMAT
from virtkit.disk.formats.vdi.layout import ENTRY, FREE, SPECIAL, Header
from virtkit.disk.mending import rehearsal

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, bytes]:
    return Specimen("vdi").make(tmp_path)


def header_of(path: Path) -> Header:
    with path.open("rb") as file:
        return Header.parse(file.read(Header.SIZE))


def put_entry(path: Path, block: int, entry: int) -> None:
    with path.open("r+b") as file:
        file.seek(header_of(path).map_offset + ENTRY * block)
        file.write(struct.pack("<I", entry))


def put_count(path: Path, count: int) -> None:
    with path.open("r+b") as file:
        file.write(header_of(path).changed(blocks_allocated=count).pack())


def found(path: Path) -> Findings:
    return disk.check(str(path)).findings


def repair(path: Path, *, leaks_only: bool = False) -> Findings:
    file = File.open(path, writable=True)
    try:
        return FORMAT.repair(FORMAT.open(file), leaks_only=leaks_only)
    finally:
        file.close()


def assert_mended(path: Path, guest: bytes) -> None:
    assert repair(path)[:2] == (0, 0)
    run("qemu-img", "check", "-q", path)
    assert read_by_qemu(path, "vdi") == guest
    assert path.stat().st_size == header_of(path).start_of(header_of(path).blocks_allocated)


@settings(max_examples=10, deadline=None)
@given(order=st.permutations(range(24)), leaks=st.integers(0, 3))
def test_blocks_in_any_order_are_sound(order: list[int], leaks: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("torn") / "torn.vdi"
    run("qemu-img", "create", "-q", "-f", "vdi", path, "24M")
    for block, place in enumerate(order):
        put_entry(path, block, place)
    put_count(path, 24 + leaks)
    os.truncate(path, header_of(path).data_offset + ((24 + leaks) << 20))
    if not leaks:  # QEMU calls these errors
        run("qemu-img", "check", "-q", path)
    assert found(path)[:5] == (0, leaks, header_of(path).data_offset + (24 << 20), 24, 24)


def test_a_sound_image_is_left_alone(made: tuple[Path, bytes]) -> None:
    path, _ = made
    before = path.read_bytes()
    assert found(path) == Findings(0, 0, len(before), 6, 6)
    assert repair(path)[:2] == (0, 0)
    assert path.read_bytes() == before


def test_of_two_blocks_in_one_place_each_gets_its_own(made: tuple[Path, bytes]) -> None:
    path, guest = made
    put_entry(path, 4, 1)
    assert found(path).details[0] == "block 4: another block has the same place"
    assert found(path)[:2] == (1, 1)
    assert repair(path, leaks_only=True)[:2] == (1, 1)
    assert_mended(path, guest[: 4 * MIB] + guest[MIB : 2 * MIB] + guest[5 * MIB :])
    with disk.open(str(path), "r+") as chain:
        chain.write(4 * MIB, b"alone")
    assert read_by_qemu(path, "vdi")[MIB : MIB + 5] == guest[MIB : MIB + 5]


def test_an_entry_behind_the_end_of_the_file_is_free_again(made: tuple[Path, bytes]) -> None:
    path, guest = made
    put_entry(path, 2, 77)
    assert "block 2: behind the end of the file" in found(path).details
    assert_mended(path, guest[: 2 * MIB] + bytes(MIB) + guest[3 * MIB :])


def test_a_block_that_the_file_does_not_have_to_its_end_ends_in_zeros(made: tuple[Path, bytes]) -> None:
    path, guest = made
    header = header_of(path)
    with path.open("r+b") as file:
        file.truncate(header.start_of(5) + 512)
    assert "block 5: cut off by the end of the file" in found(path).details
    assert_mended(path, (guest[: 5 * MIB + 512]).ljust(len(guest), b"\0"))


@pytest.mark.parametrize(("count", "corruptions", "leaks"), [(5, 1, 0), (0, 1, 0), (6, 0, 0), (9, 0, 3)])
def test_a_wrong_count_is_corrupt_where_new_data_would_go_over_old(
    made: tuple[Path, bytes], count: int, corruptions: int, leaks: int
) -> None:
    path, guest = made
    put_count(path, count)
    assert found(path)[:2] == (corruptions, leaks)
    assert_mended(path, guest)


def test_a_count_that_is_too_small_loses_nothing_when_written(made: tuple[Path, bytes]) -> None:
    path, guest = made
    put_entry(path, 1, FREE)
    put_count(path, 0)
    with disk.open(str(path), "r+") as chain:
        chain.write(MIB, b"new")
    assert read_by_qemu(path, "vdi") == guest[:MIB] + b"new".ljust(MIB, b"\0") + guest[2 * MIB :]
    run("qemu-img", "check", "-q", path)


@pytest.mark.parametrize("leaks_only", [True, False])
def test_leaks_are_closed(made: tuple[Path, bytes], *, leaks_only: bool) -> None:
    path, guest = made
    put_entry(path, 0, FREE)
    put_entry(path, 3, FREE)
    assert found(path)[:2] == (0, 2)
    assert repair(path, leaks_only=leaks_only)[:2] == (0, 0)
    assert_mended(path, bytes(MIB) + guest[MIB : 3 * MIB] + bytes(MIB) + guest[4 * MIB :])


def test_a_rehearsal_tells_the_same_and_leaves_the_file_alone(made: tuple[Path, bytes]) -> None:
    path, _ = made
    put_entry(path, 4, 1)
    put_entry(path, 2, 99)
    before, plain = path.read_bytes(), File.open(path)
    trial = rehearsal.Rehearsal(plain.fd, plain.name)
    assert FORMAT.repair(FORMAT.open(trial), leaks_only=False)[:2] == (0, 0)
    assert trial.changes
    assert path.read_bytes() == before
    plain.close()


@pytest.mark.parametrize("seed", range(30))
def test_any_map_is_told_as_qemu_tells_it_and_mended(made: tuple[Path, bytes], seed: int) -> None:
    path, _ = made
    chance = random.Random(seed)
    for block in range(6):
        if chance.random() < 0.5:
            put_entry(path, block, chance.choice([*range(8), *SPECIAL, chance.randrange(1 << 32)]))
    put_count(path, chance.choice([0, 3, 6, 6, 6]))
    said = subprocess.run(["qemu-img", "check", str(path)], capture_output=True, text=True, check=False)
    if found(path)[:2] == (0, 0):
        assert said.returncode == 0, said.stderr
    else:
        assert said.returncode == 2
    assert repair(path)[:2] == (0, 0)
    run("qemu-img", "check", "-q", path)
