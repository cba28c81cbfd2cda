"""Reads here and there: the bytes are those that QEMU reads, however often where they are was remembered."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from support.images import SECRET, SPECIMENS, Specimen, run
from virtkit import disk
from virtkit.disk import places

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
pytestmark = pytest.mark.qemu


@pytest.mark.parametrize("specimen", SPECIMENS, ids=str)
def test_reads_what_qemu_reads(specimen: Specimen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, expected = specimen.make(tmp_path)
    monkeypatch.setattr(places, "MOST", 9)  # it forgets in between
    dice = random.Random(str(specimen))
    access = disk.Access(secret=SECRET, allow_backing=True)
    with disk.open(str(path), "r", specimen.format, access) as image:
        for _ in range(400):
            at, length = dice.randrange(len(expected) + 4096), dice.choice((0, 1, 512, 4096, 70_000, 3 << 20))
            assert image.read(at, length) == expected[at : at + length]


def test_a_backing_image_answers_for_holes(tmp_path: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", tmp_path / "base.qcow2", "4M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 0 4M", tmp_path / "base.qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.qcow2", "-F", "qcow2", tmp_path / "top.qcow2", "6M")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 1M 64k", tmp_path / "top.qcow2")
    with disk.open(str(tmp_path / "top.qcow2")) as image:
        for _ in range(2):
            assert image.read(MIB - 4, 8) == b"\7\7\7\7\11\11\11\11"
            assert image.read(4 * MIB - 4, 8) == b"\7\7\7\7\0\0\0\0"
            assert image.read(6 * MIB, 8) == b""


def test_what_was_a_hole_of_a_file_is_looked_up_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.raw"
    path.write_bytes(b"x" * 4096)
    os.truncate(path, MIB)
    with disk.open(str(path), "r", "raw") as image:
        assert image.read(MIB // 2, 2) == b"\0\0"
        with path.open("r+b") as file:
            file.seek(MIB // 2)
            file.write(b"ab")
        assert image.read(MIB // 2, 2) == b"ab"
