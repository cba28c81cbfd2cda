"""What ``durable`` promises: when it returns, a power cut loses nothing of it, whatever way the bytes went."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.images import run
from support.mounts import own_file_system, small_file_system
from support.targets import TARGETS, Target, read
from virtkit import disk

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.qemu
MIB = 1 << 20


@pytest.fixture(scope="module", params=["ext4", "xfs", "btrfs"])
def room(request: pytest.FixtureRequest) -> Iterator[Path]:
    with (
        tempfile.TemporaryDirectory(dir="/dev/shm") as place,
        own_file_system(Path(place) / "room", request.param, size=320 * MIB) as folder,
    ):
        yield folder


def guest() -> bytes:
    noise = random.Random(5)
    return noise.randbytes(3 * MIB + 512) + bytes(2 * MIB) + b"text" * MIB + noise.randbytes(512)


@pytest.mark.parametrize("options", [{}, {"cluster_size": "512"}, {"preallocation": "falloc"}], ids=str)
@pytest.mark.parametrize("near", [False, True], ids=["from elsewhere", "from the same file system"])
def test_a_power_cut_afterwards_loses_nothing(
    room: Path, tmp_path: Path, options: dict[str, str], *, near: bool
) -> None:
    source = (room if near else tmp_path) / "source.raw"
    source.write_bytes(guest())
    target = room / "new.qcow2"
    disk.convert(str(source), str(target), source_format="raw", options=options, durable=True, overwrite=True)
    store, cut = room.with_name("room.store"), room.with_name("cut")
    image = cut.with_suffix(".store")
    subprocess.run(["cp", "--sparse=always", store, image], check=True)
    run("sync", "-f", room)
    name = run("findmnt", "-no", "FSTYPE", room).strip()
    if name == "btrfs":  # which mounts no copy of what is mounted
        run("umount", room)
    cut.mkdir(exist_ok=True)
    run("mount", "-o", "loop,nouuid" if name == "xfs" else "loop", image, cut)
    try:
        assert read(cut / "new.qcow2", "qcow2")[: len(guest())] == guest()
        run("qemu-img", "check", "-q", "-f", "qcow2", cut / "new.qcow2")
    finally:
        run("umount", cut)
        image.unlink()
        if name == "btrfs":
            run("mount", "-o", "loop", store, room)


@pytest.mark.parametrize("room", ["ext4"], indirect=True)
@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_images_are_as_they_are_otherwise(room: Path, target: Target, tmp_path: Path) -> None:
    source = tmp_path / "source.raw"
    source.write_bytes(guest())
    made = []
    for durable in (False, True):
        folder = room / f"{durable}"
        folder.mkdir()
        image = folder / "image"
        disk.convert(
            str(source),
            str(image),
            source_format="raw",
            target_format=target.format,
            options=target.options,
            compress=target.compress,
            durable=durable,
        )
        assert read(image, target.format)[: len(guest())] == guest()
        made.append({name: os.stat(folder / name).st_size for name in os.listdir(folder)})
        run("rm", "-r", folder)
    assert made[0] == made[1]


def test_a_file_system_in_memory_takes_it_as_well(tmp_path: Path) -> None:
    source = tmp_path / "source.raw"
    source.write_bytes(guest())
    with small_file_system(tmp_path / "memory", size=32 * MIB) as folder:
        disk.convert(str(source), str(folder / "new.qcow2"), source_format="raw", durable=True)
        assert read(folder / "new.qcow2", "qcow2")[: len(guest())] == guest()


def test_encrypted_data_goes_the_same_way(room: Path, tmp_path: Path) -> None:
    source, target, secret = tmp_path / "source.raw", room / "secret.qcow2", tmp_path / "key"
    source.write_bytes(guest())
    secret.write_text("open")
    disk.convert(
        str(source),
        str(target),
        source_format="raw",
        options={"encrypt.format": "luks", "encrypt.iter-time": "10"},
        secret=b"open",
        durable=True,
        overwrite=True,
    )
    plain = tmp_path / "plain.raw"
    key = f"secret,id=k,file={secret}"
    image = f"driver=qcow2,file.filename={target},encrypt.key-secret=k"
    run("qemu-img", "convert", "--object", key, "--image-opts", image, "-O", "raw", plain)
    assert plain.read_bytes() == guest()


def test_a_block_device_is_written_the_same_way(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root for a loop device")
    source, store = tmp_path / "source.raw", tmp_path / "store"
    source.write_bytes(guest())
    store.write_bytes(b"s" * 16 * MIB)
    device = run("losetup", "--find", "--show", store).strip()
    try:
        for kind in ("raw", "qcow2"):
            disk.convert(str(source), device, source_format="raw", target_format=kind, durable=True, overwrite=True)
            run("qemu-img", "convert", "-f", kind, "-O", "raw", device, tmp_path / "read.raw")
            assert (tmp_path / "read.raw").read_bytes()[: len(guest())] == guest()
    finally:
        run("losetup", "--detach", device)
