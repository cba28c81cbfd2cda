"""Disks of odd and of enormous size, into every kind of image."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.targets import TARGETS, Target, read
from virtkit import disk
from virtkit.core.errors import NotSupportedError, SystemCallError, UsageError
from virtkit.disk.format import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.qemu
TIB = 1 << 40
MEMORY = Path("/dev/shm")  # a file system whose files may be 8 EiB long
LARGEST = (1 << 63) - 512
THINNED = [  # others take the room or the number of files that the disk has
    target
    for target in TARGETS
    if "preallocation" not in target.options
    and "static" not in target.options
    and "twoGb" not in target.options.get("subformat", "")
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
@pytest.mark.parametrize("size", [0, 512, 1536, 65536 + 512, (2 << 20) - 512])
def test_odd_sizes(size: int, target: Target, tmp_path: Path) -> None:
    source, image = tmp_path / "source.raw", tmp_path / "image"
    guest = bytes(range(1, 256)) * (size // 255 + 1)
    source.write_bytes(guest[:size])
    if size == 0 and "subformat" in target.options:  # an extent of no sectors is none
        with pytest.raises(UsageError, match="disk size is 0"):
            target.make(source, image)
        return
    made = target.make(source, image)
    assert made.size == size
    if size == 0 and target.format in {"vmdk", "qcow"}:  # QEMU does not open even its own
        with disk.open(str(image), "r", target.format) as chain:
            assert chain.size == 0
        return
    found = read(image, target.format)
    assert found[:size] == guest[:size]
    assert len(found) == size or (target.format == "vmdk" and len(found) - size < 65536)  # of streams: whole grains


def test_a_file_that_is_no_whole_sector_becomes_a_disk_of_whole_sectors(tmp_path: Path) -> None:
    (tmp_path / "source.raw").write_bytes(b"x" * 1000)
    for target in TARGETS:
        image = tmp_path / "image"
        target.make(tmp_path / "source.raw", image)
        assert read(image, target.format)[:1024] == b"x" * 1000 + bytes(24)
        for name in set(os.listdir(tmp_path)) - {"source.raw"}:
            (tmp_path / name).unlink()


@pytest.fixture
def sparse() -> Iterator[Path]:
    """A directory where 10 TiB fit, and a disk of that size with three words on it."""
    folder = MEMORY / f"virtkit-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


def enormous(folder: Path, size: int) -> tuple[Path, dict[int, bytes]]:
    words = {0: b"first", size // 3 // 512 * 512: b"middle", size - 512: b"last"}
    path = folder / "source.raw"
    with path.open("wb") as file:
        file.truncate(size)
        for at, word in words.items():
            file.seek(at)
            file.write(word)
    return path, words


@pytest.mark.parametrize("size", [10 * TIB, LARGEST], ids=["10 TiB", "8 EiB"])
@pytest.mark.parametrize("target", THINNED, ids=str)
def test_a_disk_that_is_mostly_empty_costs_little(target: Target, size: int, sparse: Path) -> None:
    source, words = enormous(sparse, size)
    image = sparse / "image"
    before = resource.getrusage(resource.RUSAGE_SELF)
    try:
        target.make(source, image)
    except (UsageError, NotSupportedError, SystemCallError):  # the format has not that many addresses
        assert size == LARGEST or target.format in {"vmdk", "vdi", "cow", "qcow"} or "512" in str(target)
        assert os.listdir(sparse) == ["source.raw"]
        return
    finally:
        spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime - before.ru_utime
    assert spent < 20
    with disk.open(str(image), "r", target.format) as chain:
        assert chain.size >= size
        for at, word in words.items():
            assert chain.read(at, 512) == word.ljust(512, b"\0")
        data = [extent for extent in chain.extents() if extent.kind in {Kind.DATA, Kind.CODED}]
    assert sum(extent.length for extent in data) <= 3 * (4 << 20)
    assert sum(path.stat().st_blocks * 512 for path in sparse.iterdir()) < 1 << 30
