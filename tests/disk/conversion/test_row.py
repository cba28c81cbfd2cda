"""Disks in a row and parts of one read as their bytes put together, at any offset."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.images import run
from support.reading import bytes_of
from virtkit import disk
from virtkit.core.errors import NotFoundError
from virtkit.disk.access import READ_ONLY
from virtkit.disk.conversion.row import Part, open_row

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.disk.copying.source import Source

pytestmark = pytest.mark.qemu
SIZES = (1 << 20, 300 << 10, 512, 0, 130 << 10)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Compressed, plain and empty ones of odd sizes."""
    folder = tmp_path_factory.mktemp("row")
    made = []
    for number, size in enumerate(SIZES):
        raw = folder / f"{number}.raw"
        raw.write_bytes(bytes((number * 7 + at // 1000) % 251 for at in range(size)))
        path = folder / f"{number}.qcow2"
        flags = ["-c"] if number % 2 == 0 else []
        run("qemu-img", "convert", *flags, "-f", "raw", "-O", "qcow2", raw, path)
        made.append(path)
    return made


def read(source: Source, start: int, length: int) -> bytes:
    """By its extents, which have to cover the range."""
    at, found = start, b""
    for extent in source.extents(start, length):
        assert extent.start == at
        at += extent.length
        found += bytes_of(extent)
    return found


@given(start=st.integers(0, sum(SIZES)), length=st.integers(0, sum(SIZES)))
def test_a_row_is_its_disks_one_behind_the_other(start: int, length: int, images: list[Path]) -> None:
    whole = b"".join(image.with_suffix(".raw").read_bytes() for image in images)
    length = min(length, len(whole) - start)
    with open_row([str(image) for image in images], None, READ_ONLY) as row:
        assert row.size == len(whole)
        assert len(row.layers) == len(images)
        assert read(row, start, length) == whole[start : start + length]


@given(begin=st.integers(0, SIZES[0]), end=st.integers(0, SIZES[0]), at=st.integers(0, SIZES[0]))
def test_a_part_begins_anywhere(begin: int, end: int, at: int, images: list[Path]) -> None:
    whole = images[0].with_suffix(".raw").read_bytes()
    begin, end = min(begin, end), max(begin, end)
    with disk.open(str(images[0])) as chain:
        part = Part(chain, begin, end)
        at = min(at, part.size)
        assert read(part, at, part.size - at) == whole[begin + at : end]
        assert read(part, 0, part.size) == whole[begin:end]


def test_what_cannot_be_opened_leaves_nothing_open(images: list[Path], tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(NotFoundError):
        open_row([str(images[0]), str(tmp_path / "absent")], None, READ_ONLY)
    assert len(os.listdir("/proc/self/fd")) == before
