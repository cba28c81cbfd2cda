"""Extents of ESX (COWD and seSparse) are read as QEMU reads them, alone and on a parent, and are not written."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.esx import SE_GRAIN, SECTOR, UNMAPPED, ZEROED, cowd, describe, sesparse
from support.images import read_by_qemu, run
from support.reading import assert_covers, content, open_with
from virtkit import disk
from virtkit.core.errors import CorruptImageError, NotSupportedError
from virtkit.disk.formats.vmdk import FORMAT
from virtkit.disk.formats.vmdk import cowd as cowd_format
from virtkit.disk.formats.vmdk import sesparse as se_format
from virtkit.disk.runs import runs, table_of

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu
SEVERAL = settings(max_examples=deep(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
MOST = 20 << 20  # bytes of a disk: more than what one table tells of
NUMBERS = st.sets(st.one_of(st.integers(0, 40), st.integers(0, 5000)), max_size=60)


def grains(numbers: set[int], size: int, grain: int) -> dict[int, bytes]:
    return {number: bytes([number % 255 + 1]) * grain for number in numbers if number * grain < size}


def delta(folder: Path, below: str) -> tuple[str, str] | None:
    """A parent that is not all zeros."""
    if below == "nothing":
        return None
    path = folder / "base.vmdk"
    if not path.exists():
        run("qemu-img", "create", "-q", "-f", "vmdk", path, str(MOST))
        run("qemu-io", "-f", "vmdk", "-c", f"write -P 99 0 {MOST}", path)
    cid = next(line for line in path.read_bytes()[:4096].split(b"\n") if line.startswith(b"CID="))
    return path.name, cid[4:].decode()


def assert_read_as_qemu_does(path: Path) -> bytes:
    guest = read_by_qemu(path, "vmdk")
    with disk.open(str(path)) as chain:
        assert chain.size == len(guest)
        assert chain.read(0, chain.size) == guest
        assert chain.read(4095, 70_000) == guest[4095:74_095]
        assert_covers(chain.layers[0].image, 0, chain.size)
    return guest


@pytest.mark.parametrize("below", ["nothing", "a parent"])
@SEVERAL
@given(numbers=NUMBERS, sectors=st.integers(1, MOST // SECTOR), grain=st.sampled_from([1, 8, 128]), seed=st.integers())
def test_cowd_is_read_as_qemu_reads_it(
    below: str,
    numbers: set[int],
    sectors: int,
    grain: int,
    seed: int,
    tmp_path: Path,
) -> None:
    written = grains(numbers, sectors * SECTOR, grain * SECTOR)
    (tmp_path / "d-delta.vmdk").write_bytes(cowd(sectors, grain, written, seed))
    describe(tmp_path / "d.vmdk", "vmfsSparse", "VMFSSPARSE", sectors, "d-delta.vmdk", delta(tmp_path, below))
    guest = assert_read_as_qemu_does(tmp_path / "d.vmdk")
    assert all(guest[number * grain * SECTOR] == data[0] for number, data in written.items())


@pytest.mark.parametrize("below", ["nothing", "a parent"])
@SEVERAL
@given(
    numbers=NUMBERS,
    empty=NUMBERS,
    sectors=st.integers(8, MOST // SECTOR),
    seed=st.integers(),
    first=st.sampled_from([0, 4090]),
)
def test_sesparse_is_read_as_qemu_reads_it(
    below: str,
    numbers: set[int],
    empty: set[int],
    sectors: int,
    seed: int,
    first: int,
    tmp_path: Path,
) -> None:
    blanks = {number: UNMAPPED if number % 2 else ZEROED for number in empty if number * SE_GRAIN < sectors * SECTOR}
    written: dict[int, bytes | str] = {**blanks, **grains(numbers, sectors * SECTOR, SE_GRAIN)}
    (tmp_path / "d-sesparse.vmdk").write_bytes(sesparse(sectors, written, seed, first))
    describe(tmp_path / "d.vmdk", "seSparse", "SESPARSE", sectors, "d-sesparse.vmdk", delta(tmp_path, below))
    guest = assert_read_as_qemu_does(tmp_path / "d.vmdk")
    assert all(not guest[number * SE_GRAIN] for number in blanks.keys() - numbers)


@given(st.integers(0, (1 << 60) - 1))
def test_the_entry_of_a_grain_tells_its_number(number: int) -> None:
    assert se_format.grain_of(se_format.entry_of(number)) == number


def test_grains_in_a_row_are_one_run_but_for_where_the_low_bits_turn() -> None:
    entries = [se_format.entry_of(number) for number in range(4000, 4200)]
    table = table_of(struct.pack("<200Q", *entries), code="Q", endian="little")
    found = list(runs(table, 0, 200, 1 << 48, se_format.NO_GRAIN))
    assert [(run.begin, run.end, se_format.grain_of(run.entry)) for run in found] == [(0, 96, 4000), (96, 200, 4096)]


@pytest.fixture
def esx(tmp_path: Path) -> Path:
    (tmp_path / "c-delta.vmdk").write_bytes(cowd(4096, 8, grains({1, 7}, 1 << 20, 4096)))
    describe(tmp_path / "c.vmdk", "vmfsSparse", "VMFSSPARSE", 4096, "c-delta.vmdk", None)
    (tmp_path / "s-sesparse.vmdk").write_bytes(sesparse(4096, grains({1, 7}, 1 << 20, 4096)))
    describe(tmp_path / "s.vmdk", "seSparse", "SESPARSE", 4096, "s-sesparse.vmdk", None)
    return tmp_path


@pytest.mark.parametrize("name", ["c", "s"])
def test_they_are_not_written(esx: Path, name: str) -> None:
    with pytest.raises(NotSupportedError, match="can only be read") as caught:
        disk.open(str(esx / f"{name}.vmdk"), "r+")
    assert caught.value.hint == f"virtkit disk convert {esx}/{name}.vmdk new.qcow2"


@pytest.mark.parametrize("name", ["c-delta", "s-sesparse"])
def test_a_bare_extent_is_known_and_refused(esx: Path, name: str) -> None:
    path = esx / f"{name}.vmdk"
    assert FORMAT.probe(path.read_bytes()[:1024])
    with pytest.raises(NotSupportedError, match="one part of a disk of several files"):
        open_with(FORMAT, path)


@pytest.mark.parametrize("name", ["c", "s"])
def test_they_are_checked_and_their_facts_are_qemus(esx: Path, name: str) -> None:
    assert disk.check(str(esx / f"{name}.vmdk")).findings[:2] == (0, 0)
    theirs = json.loads(run("qemu-img", "info", "--output", "json", esx / f"{name}.vmdk"))
    assert disk.info(str(esx / f"{name}.vmdk")).data()["format-specific"] == theirs["format-specific"]


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("version", 1, "seSparse version is 0x1"),
        ("grain_size", 16, "grain size is 0x10"),
        ("table_size", 32, "table size is 0x20"),
        ("flags", 1, "flags is 0x1"),
        ("capacity", 1 << 60, "capacity is"),
        ("directory_offset", 1 << 40, "directory offset is"),
        ("directory_size", 0, "directory size is 0"),
        ("tables_size", 0, "directory entry is"),
        ("grains_offset", 1 << 50, "grains offset is"),
        ("volatile_header_offset", 2, "volatile header's magic is"),
        ("magic", 0, "magic is 0"),
    ],
)
def test_a_header_that_says_something_else_is_refused(esx: Path, field: str, value: int, problem: str) -> None:
    patch(esx / "s-sesparse.vmdk", se_format.Header.offset_of(field), value)
    with pytest.raises((CorruptImageError, NotSupportedError), match=problem):
        read(esx / "s.vmdk")


def test_a_journal_that_was_not_replayed_is_refused(esx: Path) -> None:
    patch(esx / "s-sesparse.vmdk", SECTOR + se_format.VolatileHeader.offset_of("replay_journal"), 1)
    with pytest.raises(NotSupportedError, match="journal"):
        read(esx / "s.vmdk")


@pytest.mark.parametrize("value", [0x4000000000000000, 0x0000000000000001, 0x3FFF000000000000, 0xF000000000000000])
def test_an_entry_of_no_kind_is_an_error(esx: Path, value: int) -> None:
    table = se_format.Header.parse((esx / "s-sesparse.vmdk").read_bytes()).tables_offset * SECTOR
    patch(esx / "s-sesparse.vmdk", table + 8, value)
    with pytest.raises(CorruptImageError, match=f"table entry is {value:#x}"):
        read(esx / "s.vmdk")


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("version", 2, "COWD version is 2"),
        ("grain_size", 0, "grain size is 0"),
        ("tables", 0, "tables is 0"),
        ("tables", 0xFFFFFFFF, "tables is"),
        ("directory_offset", 0xFFFFFFFF, "directory offset is"),
        ("capacity", 0xFFFFFFFF, "tables is 1"),
    ],
)
def test_a_cowd_header_that_cannot_be_is_refused(esx: Path, field: str, value: int, problem: str) -> None:
    with (esx / "c-delta.vmdk").open("r+b") as file:
        file.seek(cowd_format.Header.offset_of(field))
        file.write(struct.pack("<I", value))
    with pytest.raises((CorruptImageError, NotSupportedError), match=problem):
        read(esx / "c.vmdk")


def patch(path: Path, at: int, value: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(struct.pack("<Q", value))


def read(path: Path) -> bytes:
    image = open_with(FORMAT, path)
    try:
        return content(image)
    finally:
        image.close()
