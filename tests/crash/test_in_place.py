"""A conversion in place that ends at any of its system calls: killed, or without power, on ext4 and XFS.

What is left is the raw disk, the image, or a file that QEMU refuses and virtkit makes either of the two.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.mounts import own_file_system
from virtkit import disk
from virtkit.core.errors import ImageError
from virtkit.disk import halfway
from virtkit.disk.conversion import shift

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.disk.file import File

pytestmark = pytest.mark.qemu
MIB = 1 << 20
SIZES = {"ext4": 48 * MIB, "xfs": 320 * MIB}
CALLS = 17  # at least that many steps have to be seen


@pytest.fixture(scope="module", params=["ext4", "xfs"])
def room(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Its drive is memory: hundreds of syncs would take long elsewhere."""
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as place,
        own_file_system(Path(place) / "room", request.param, size=SIZES[request.param]) as folder,
    ):
        yield folder


def guest() -> bytes:
    """Three pieces of noise with zeros between, the last one up to an odd end."""
    noise = random.Random(3)
    return noise.randbytes(MIB + 4096) + bytes(2 * MIB) + noise.randbytes(MIB) + bytes(3 * MIB) + noise.randbytes(66048)


def make(path: Path) -> None:
    """With holes; whatever an earlier test left is gone."""
    for name in (path, path.with_suffix(".qcow2"), path.with_name(f"{path.name}{halfway.SUFFIX}")):
        name.unlink(missing_ok=True)
    data = guest()
    with path.open("wb") as file:
        for at in range(0, len(data), 4096):
            if (part := data[at : at + 4096]).strip(b"\0"):
                os.pwrite(file.fileno(), part, at)
        file.truncate(len(data))
    run("sync", "-f", path)


def ended(path: Path, number: int, end: Callable[[], None]) -> int:
    """How the process ended that converts ``path`` and calls ``end`` before its step ``number``: signal, or 0."""
    if child := os.fork():
        return os.waitpid(child, 0)[1]
    left = number

    def counted(module: object, name: str) -> None:
        call = getattr(module, name)

        def counting(*arguments: object, **named: object) -> object:
            nonlocal left
            left -= 1
            if left == 0:
                end()
            return call(*arguments, **named)

        setattr(module, name, counting)

    for name in ("pwrite", "ftruncate", "fsync", "link", "unlink"):
        counted(os, name)
    counted(shift, "insert")
    try:
        disk.convert_in_place(str(path), str(path.with_suffix(".qcow2")))
        os._exit(0)
    finally:
        os._exit(1)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def settle(path: Path, *, back: bool) -> None:
    """What a user does then; the disk is whole afterwards."""
    image = path.with_suffix(".qcow2")
    record = path.with_name(f"{path.name}{halfway.SUFFIX}")
    if path.exists():
        if path.read_bytes()[:4] == b"QFI\xfb" and record.exists():
            with pytest.raises(ImageError, match="broken off"):
                disk.info(str(path), "raw")
        else:
            assert path.read_bytes() == guest()
        if back and path.read_bytes()[512:1024] != bytes(512) and record.exists():
            disk.take_back_in_place(str(path))
            assert path.read_bytes() == guest()
            assert not record.exists()
        disk.convert_in_place(str(path), str(image))
    assert not record.exists() or not path.exists()
    read = path.with_name("read.raw")
    run("qemu-img", "check", "-q", "-f", "qcow2", image)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", image, read)
    assert read.read_bytes() == guest()


def test_it_may_be_killed_at_any_call(room: Path) -> None:
    path = room / "disk.raw"
    steps = 0
    while True:
        make(path)
        if not ended(path, steps + 1, die):
            break
        steps += 1
        settle(path, back=bool(steps % 2))
    assert steps >= CALLS


@contextmanager
def after_power_cut(room: Path, number: int) -> Iterator[Path | None]:
    """What the drive holds when power goes before step ``number``, mounted elsewhere."""
    store, cut = room.with_name("room.store"), room.with_name("cut")
    image = cut.with_suffix(".store")

    def copy() -> None:
        subprocess.run(["cp", "--sparse=always", store, image], check=True)
        die()

    make(room / "disk.raw")
    if not ended(room / "disk.raw", number, copy):
        yield None
        return
    cut.mkdir(exist_ok=True)
    run("mount", "-o", "loop,nouuid" if run("findmnt", "-no", "FSTYPE", room).strip() == "xfs" else "loop", image, cut)
    try:
        yield cut
    finally:
        run("umount", cut)
        image.unlink()


def test_power_may_go_at_any_call(room: Path) -> None:
    steps = 0
    while True:
        with after_power_cut(room, steps + 1) as cut:
            if not cut:
                break
            steps += 1
            settle(cut / "disk.raw", back=not steps % 2)
    assert steps >= CALLS


@pytest.mark.parametrize("moved", [4096, MIB, MIB + 4096, 3 * MIB + 8192, 7 * MIB + 8192], ids=hex)
@pytest.mark.parametrize("back", [False, True], ids=["goes on", "takes back"])
def test_the_kernel_may_have_moved_a_part_only(
    room: Path, moved: int, monkeypatch: pytest.MonkeyPatch, *, back: bool
) -> None:
    """As a power cut leaves it between two of the file system's own transactions."""

    class CutError(Exception):
        pass

    def half(file: File, record: halfway.Record) -> None:
        shift.insert_at(file, moved, record.room)
        raise CutError

    def dead(file: File, record: halfway.Record) -> None:
        raise CutError

    path = room / "disk.raw"
    make(path)
    with monkeypatch.context() as patch:
        patch.setattr(shift, "insert", half)
        patch.setattr(shift, "undo", dead)
        with pytest.raises(CutError):
            disk.convert_in_place(str(path), str(path.with_suffix(".qcow2")))
    settle(path, back=back)
