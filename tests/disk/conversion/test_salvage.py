"""What can be read of a broken disk is saved; what cannot is zeros, and listed."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.images import MIB, run
from virtkit import disk
from virtkit.core.errors import CorruptImageError, SystemCallError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.qemu
CLUSTER = 64 << 10


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """4 MiB of noise in qcow2."""
    (tmp_path / "noise.raw").write_bytes(random.Random(1).randbytes(4 * MIB))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", tmp_path / "noise.raw", tmp_path / "image.qcow2")
    return tmp_path / "image.qcow2"


def salvaged(image: Path) -> tuple[bytes, tuple[tuple[int, int], ...]]:
    target = image.with_name("ours.raw")
    made = disk.convert(str(image), str(target), salvage=True, overwrite=True, verify=True)
    return target.read_bytes(), made.lost


def by_qemu(image: Path) -> bytes:
    target = image.with_name("theirs.raw")
    run("qemu-img", "convert", "--salvage", "-q", "-f", "qcow2", "-O", "raw", image, target)
    return target.read_bytes()


def test_a_whole_disk_loses_nothing(image: Path, tmp_path: Path) -> None:
    assert salvaged(image) == ((tmp_path / "noise.raw").read_bytes(), ())


def test_a_broken_stream_costs_its_cluster(tmp_path: Path) -> None:
    text = b"".join(f"line {number}\n".encode() for number in range(300_000))[: 2 * MIB]
    (tmp_path / "text.raw").write_bytes(text)
    image = tmp_path / "image.qcow2"
    disk.convert(str(tmp_path / "text.raw"), str(image), source_format="raw", compress=True)
    with disk.open(str(image)) as chain:
        broken = [extent for extent in chain.extents() if extent.start in {5 * CLUSTER, 6 * CLUSTER, 20 * CLUSTER}]
    with image.open("r+b") as file:
        for extent in broken:
            file.seek(extent.at)
            file.write(b"\xff" * 64)
    with pytest.raises(CorruptImageError):
        disk.convert(str(image), str(tmp_path / "strict.raw"))
    found, lost = salvaged(image)
    assert lost == ((5 * CLUSTER, 7 * CLUSTER), (20 * CLUSTER, 21 * CLUSTER))
    wanted = bytearray(text)
    for start, end in lost:
        wanted[start:end] = bytes(end - start)
    assert found == wanted == by_qemu(image)


def test_a_file_that_ends_too_early_gives_what_is_there(image: Path, tmp_path: Path) -> None:
    os.truncate(image, 2 * MIB)
    with pytest.raises(CorruptImageError):
        disk.convert(str(image), str(tmp_path / "strict.raw"))
    found, lost = salvaged(image)
    [(start, end)] = lost
    assert end == 4 * MIB
    assert found[:start] == (tmp_path / "noise.raw").read_bytes()[:start]
    assert found == by_qemu(image)


def test_entries_that_make_no_sense_cost_their_clusters(image: Path, tmp_path: Path) -> None:
    with disk.open(str(image)) as chain:
        first = next(chain.extents()).at
    table = image.read_bytes().index((first | 1 << 63).to_bytes(8, "big"))
    with image.open("r+b") as file:
        for index in (0, 7, 8, 40):
            file.seek(table + 8 * index)
            file.write((first + 512 | 1 << 63).to_bytes(8, "big"))
    found, lost = salvaged(image)
    assert lost == ((0, CLUSTER), (7 * CLUSTER, 9 * CLUSTER), (40 * CLUSTER, 41 * CLUSTER))
    wanted = bytearray((tmp_path / "noise.raw").read_bytes())
    for start, end in lost:
        wanted[start:end] = bytes(end - start)
    assert found == wanted


@pytest.fixture
def failing(image: Path) -> Iterator[Path]:
    """A block device whose last MiB cannot be read: the file below it has gone there."""
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    store = image.with_name("store")
    store.write_bytes((image.with_name("noise.raw")).read_bytes())
    device = run("losetup", "--find", "--show", store).strip()
    os.truncate(store, 3 * MIB)
    try:
        yield Path(device)
    finally:
        run("losetup", "--detach", device)


def test_sectors_that_cannot_be_read_are_zeros(failing: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemCallError, match="input/output error"):
        disk.convert(str(failing), str(tmp_path / "strict.qcow2"), source_format="raw")
    target = tmp_path / "saved.raw"
    made = disk.convert(str(failing), str(target), source_format="raw", salvage=True)
    assert made.lost == ((3 * MIB, 4 * MIB),)
    assert target.read_bytes() == (tmp_path / "noise.raw").read_bytes()[: 3 * MIB] + bytes(MIB)
