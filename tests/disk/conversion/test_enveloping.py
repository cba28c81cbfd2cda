"""A raw disk that becomes a qcow2 image in its own file: QEMU finds the same disk, and it is as sparse as before."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.depth import deep
from support.images import run
from support.mounts import own_file_system
from virtkit import disk
from virtkit.core.errors import BusyError, ImageError, NotFoundError, NotSupportedError, SystemCallError, UsageError
from virtkit.disk.file import File

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.qemu
KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as place,
        own_file_system(Path(place) / "room", "ext4", size=64 * MIB) as folder,
    ):
        yield folder


def made(path: Path, size: int, pieces: dict[int, bytes]) -> Path:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        for at, data in pieces.items():
            os.pwrite(file.fileno(), data, at)
        file.truncate(size)
    return path


SHAPES = st.fixed_dictionaries(
    {
        "size": st.integers(9, 40_000).map(lambda sectors: sectors * 512),
        "starts": st.lists(st.integers(0, 20 * MIB), max_size=12),
        "cluster": st.sampled_from(["4K", "16K", "64K", "2M"]),
        "bits": st.sampled_from(["1", "8", "16", "64"]),
    }
)


@settings(max_examples=deep(12), deadline=None)
@given(shape=SHAPES)
def test_the_disk_is_the_same_and_as_sparse(room: Path, shape: dict[str, object]) -> None:
    size, starts = int(str(shape["size"])), shape["starts"]
    assert isinstance(starts, list)
    pieces = {at: at.to_bytes(4, "little") * 1500 for at in starts if at + 6000 < size}
    path = made(room / "some.raw", size, pieces)
    run("cp", "--sparse=always", path, room / "before.raw")
    options = {"cluster_size": str(shape["cluster"]), "refcount_bits": str(shape["bits"])}
    told = disk.convert_in_place(str(path), options=options)
    assert told.size == size
    run("qemu-img", "compare", "-q", "-f", "raw", "-F", "qcow2", room / "before.raw", path)
    run("qemu-img", "check", "-q", "-f", "qcow2", path)
    assert disk.check(str(path)).findings.leaks == 0
    metadata = 8 * 2 * MIB if shape["cluster"] == "2M" else MIB
    assert path.stat().st_blocks * 512 <= (room / "before.raw").stat().st_blocks * 512 + metadata


def test_it_is_renamed_but_over_nothing(room: Path) -> None:
    path = made(room / "a.raw", MIB, {0: b"x" * 9000})
    (room / "b.qcow2").write_bytes(b"mine")
    with pytest.raises(UsageError, match="exists already"):
        disk.convert_in_place(str(path), str(room / "b.qcow2"))
    assert path.read_bytes()[:9000] == b"x" * 9000
    assert disk.convert_in_place(str(path), str(room / "c.qcow2")).target == str(room / "c.qcow2")
    assert not path.exists()
    assert disk.info(str(room / "c.qcow2")).format == "qcow2"


def test_the_image_lives_on(room: Path) -> None:
    """What was free in the middle of the file is room for new data."""
    path = made(room / "live.raw", 8 * MIB, {0: b"x" * 9000, 6 * MIB: b"y" * 9000})
    disk.convert_in_place(str(path))
    run("qemu-io", "-f", "qcow2", "-c", "write -P 7 2M 3M", path)
    run("qemu-img", "check", "-q", "-f", "qcow2", path)
    with disk.open(str(path)) as chain:
        assert chain.read(2 * MIB, 4) == b"\7" * 4
        assert chain.read(6 * MIB, 9000) == b"y" * 9000


def test_refusals_change_nothing(room: Path) -> None:
    path = made(room / "no.raw", MIB, {0: b"z" * MIB})
    os.link(path, room / "other")
    with pytest.raises(NotSupportedError, match="has other names"):
        disk.convert_in_place(str(path))
    (room / "other").unlink()
    with closing(File.open(str(path))), pytest.raises(BusyError):
        disk.convert_in_place(str(path))
    with pytest.raises(NotSupportedError, match="does not go with extended_l2"):
        disk.convert_in_place(str(path), options={"extended_l2": "on"})
    with pytest.raises(NotSupportedError, match="no raw disk becomes this in place"):
        disk.convert_in_place(str(path), target_format="vdi")
    with pytest.raises(NotFoundError, match="no conversion in place"):
        disk.take_back_in_place(str(path))
    assert path.read_bytes() == b"z" * MIB
    disk.convert_in_place(str(path))
    with pytest.raises(ImageError, match="format is qcow2 by its signature"):
        disk.convert_in_place(str(path))


def test_a_full_file_system_is_told_before(room: Path) -> None:
    path = made(room / "full.raw", 4 * MIB, {0: b"z" * MIB})
    filler = room / "filler"
    with filler.open("wb") as file:
        status = os.fstatvfs(file.fileno())
        os.posix_fallocate(file.fileno(), 0, status.f_bavail * status.f_frsize - 128 * KIB)
    with pytest.raises(SystemCallError, match="no space left"):
        disk.convert_in_place(str(path))
    filler.unlink()
    assert sorted(one.name for one in room.iterdir() if one.name.startswith("full")) == ["full.raw"]
    assert path.read_bytes() == b"z" * MIB + bytes(3 * MIB)


@pytest.mark.parametrize("kind", ["btrfs", "tmpfs"])
def test_a_file_system_that_moves_nothing_says_what_copies(tmp_path: Path, kind: str) -> None:
    if kind == "tmpfs":
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            _refused(Path(place))
    else:
        with own_file_system(tmp_path / "room", kind, size=128 * MIB) as folder:
            _refused(folder)


def _refused(folder: Path) -> None:
    path = made(folder / "a.raw", MIB, {0: b"z" * MIB})
    with pytest.raises(NotSupportedError, match="moves no data within a file") as error:
        disk.convert_in_place(str(path))
    assert error.value.hint == f"virtkit disk convert -f raw {path} NEW.qcow2"
    assert [one.name for one in folder.iterdir() if one.name.startswith("a.")] == ["a.raw"]


def test_blocks_that_are_shared_are_not_moved(tmp_path: Path) -> None:
    with own_file_system(tmp_path / "room", "xfs") as folder:
        path = made(folder / "a.raw", MIB, {0: b"z" * MIB})
        run("cp", "--reflink=always", path, folder / "b.raw")
        with pytest.raises(NotSupportedError, match="shares blocks"):
            disk.convert_in_place(str(path))


@pytest.mark.parametrize("sync", range(1, 9))
def test_ctrl_c_at_any_sync_leaves_the_raw_disk_or_the_image(
    room: Path, sync: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(room / "ended.raw", 2 * MIB, {0: b"boot" * 1024, MIB: b"data" * 1024})
    before, real, left = path.read_bytes(), os.fsync, sync

    def fsync(fd: int) -> None:
        nonlocal left
        real(fd)
        left -= 1
        if left == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        with suppress(KeyboardInterrupt):
            disk.convert_in_place(str(path))
    if path.read_bytes()[:4] == b"QFI\xfb":
        if path.with_name("ended.raw.in-place").exists():
            disk.convert_in_place(str(path))  # goes on
        assert run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, room / "back.raw") == ""
        assert (room / "back.raw").read_bytes() == before
    else:
        assert path.read_bytes() == before
    assert not list(room.glob("*.in-place"))
