"""Reflinked copies are compared without being read; what looks alike and is not is read all the same."""

from __future__ import annotations

import random
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.mounts import own_file_system
from virtkit import disk
from virtkit.disk import pieces
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from virtkit.disk.pieces import Job

MIB = 1 << 20
SIZE = 12 * MIB


@pytest.fixture(scope="module", params=["xfs", "btrfs"])
def room(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with own_file_system(tmp_path_factory.mktemp("shares") / "room", request.param) as folder:
        (folder / "disk.raw").write_bytes(random.Random(1).randbytes(SIZE))
        yield folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes of each job were read, both sides."""
    found: list[int] = []
    fill = pieces.fill

    def counting(job: Job, room: memoryview) -> None:
        found.append(job.length)
        fill(job, room)

    monkeypatch.setattr(pieces, "fill", counting)
    return found


def copied(room: Path, name: str) -> Path:
    path = room / name
    run("cp", "--reflink=always", room / "disk.raw", path)
    return path


def compare(left: Path, right: Path, kind: str = "raw") -> int | None:
    return disk.compare(str(left), str(right), left_format="raw", right_format=kind).offset


def test_a_copy_is_not_read(room: Path, read: list[int]) -> None:
    assert compare(room / "disk.raw", copied(room, "same.raw")) is None
    assert read == []


def test_an_image_that_shares_is_hardly_read(room: Path, read: list[int]) -> None:
    disk.convert(str(room / "disk.raw"), str(room / "image.qcow2"), source_format="raw", overwrite=True)
    read.clear()
    assert compare(room / "disk.raw", room / "image.qcow2", "qcow2") is None
    assert sum(read) < MIB


def test_one_byte_that_was_written_since_is_found(room: Path, read: list[int]) -> None:
    """It is not even on the drive yet."""
    path = copied(room, "other.raw")
    with path.open("r+b") as file:
        file.seek(5 * MIB + 700)
        old = file.read(1)
        file.seek(5 * MIB + 700)
        file.write(bytes([old[0] ^ 1]))
    assert compare(room / "disk.raw", path) == 5 * MIB + 512
    assert 0 < sum(read) < 4 * MIB


def test_shared_blocks_at_another_place_are_read(room: Path, read: list[int]) -> None:
    path = copied(room, "moved.raw")
    with closing(File.open(room / "disk.raw")) as source, closing(File.open(path, writable=True)) as file:
        assert file.share(0, source, MIB, MIB)
    assert compare(room / "disk.raw", path) == 0
    assert read
