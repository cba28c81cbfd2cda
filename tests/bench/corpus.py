"""The disks that the bench runs on, made once by other tools wherever there is one that can.

``guest``: a real Debian in a partitioned disk of 10 GiB; ``dense``: 2 GiB of random bytes; ``empty``: 20 GiB with 64
MiB in it; ``small``: 384 MiB of the guest's data, for what takes QEMU long; ``full``: 1 TiB, every cluster mapped;
``sparse1``, ``sparse10``: 1 and 10 TiB, every L2 table there and little in it; ``frag``: the guest's disk aged by
writes in random order between snapshots; ``one``/``many``: one and fifty images of 16 MiB.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from typing import TYPE_CHECKING

from bench.mounts import mounted
from virtkit import disk
from virtkit.core.units import GIB, KIB, MIB, TIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

NEEDED = 30 * GIB  # bytes of room, with what the runs write
MANY = 50
SHARING = ("xfs", "btrfs")  # file systems that share blocks
_PACKAGES = (
    "linux-image-amd64,systemd-sysv,openssh-server,python3,perl,git,gcc,vim,nginx,postgresql,locales,initramfs-tools"
)
_CLUSTER = 64 * KIB


def build(folder: Path, tell: Callable[[str], None]) -> None:
    """Make what is missing. OSError where ``folder`` has no room for it."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(name, make) for name, make in _RECIPES.items() if not (folder / name).exists()]
    room = shutil.disk_usage(folder).free
    if missing and not (folder / "guest.raw").exists() and room < NEEDED:
        raise OSError(f"{folder}: {room // GIB} GiB are free, expected {NEEDED // GIB} GiB")
    for name, make in missing:
        tell(name)
        beside = folder / f"{name}.new"
        make(folder, beside)
        beside.rename(folder / name)
    for kind in SHARING:
        _share(folder, kind, tell)


def _share(folder: Path, kind: str, tell: Callable[[str], None]) -> None:
    """The guest's disk once more, on a file system that shares blocks."""
    place = mounted(folder, kind)
    for name in ("guest.raw", "guest.qcow2", "frag.qcow2"):
        if not (place / name).exists():
            tell(f"{kind}/{name}")
            run("cp", "--sparse=always", folder / name, place / f"{name}.new")
            (place / f"{name}.new").rename(place / name)
    if not (place / "clone.raw").exists():
        run("cp", "--reflink=always", place / "guest.raw", place / "clone.raw")


def run(*command: str | os.PathLike[str], text: str | None = None) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, input=text).stdout


def _guest(folder: Path, target: Path) -> None:
    tree = folder / "guest.d"
    shutil.rmtree(tree, ignore_errors=True)
    run("mmdebstrap", "--variant=important", f"--include={_PACKAGES}", "bookworm", tree)
    _blank(target, 10 * GIB)
    run("sfdisk", "-q", target, text="label: dos\nstart=2048,type=83,bootable\n")
    size = f"{(10 * GIB - MIB) // KIB}k"
    run("mkfs.ext4", "-q", "-F", "-E", f"offset={MIB},lazy_itable_init=0", "-d", tree, target, size)
    shutil.rmtree(tree)


def _blank(target: Path, size: int) -> None:
    target.write_bytes(b"")
    os.truncate(target, size)


def _dense(_folder: Path, target: Path) -> None:
    with target.open("wb") as file:
        for _ in range(128):
            file.write(os.urandom(16 * MIB))


def _scattered(size: int) -> Callable[[Path, Path], None]:
    """64 MiB of data in pieces of 1 MiB, anywhere on the disk."""

    def make(_folder: Path, target: Path) -> None:
        _blank(target, size)
        dice = random.Random(1)
        with target.open("r+b") as file:
            for _ in range(64):
                file.seek(dice.randrange(0, size - MIB, 4 * KIB))
                file.write(dice.randbytes(MIB))

    return make


def _small(folder: Path, target: Path) -> None:
    """The front of the guest's disk, as far as 384 MiB of data go."""
    with disk.open(str(folder / "guest.raw"), "r", "raw") as guest, target.open("wb") as file:
        left = 384 * MIB
        for start, end in _data(folder / "guest.raw"):
            stop = min(end, start + left)
            for at in range(start, stop, MIB):
                file.seek(at)
                file.write(guest.read(at, min(MIB, stop - at)))
            left -= stop - start
            if left <= 0:
                break


def _data(path: Path) -> Iterator[tuple[int, int]]:
    fd = os.open(path, os.O_RDONLY)
    at, size = 0, os.fstat(fd).st_size
    try:
        while at < size:
            start = os.lseek(fd, at, os.SEEK_DATA)
            at = os.lseek(fd, start, os.SEEK_HOLE)
            yield start, at
    except OSError:  # no data behind
        return
    finally:
        os.close(fd)


def _converted(source: str, kind: str, *options: str) -> Callable[[Path, Path], None]:
    def make(folder: Path, target: Path) -> None:
        form = source.rpartition(".")[2]
        run("qemu-img", "convert", "-f", form, "-O", kind, *options, folder / source, target)

    return make


def _fragmented(folder: Path, target: Path) -> None:
    """Each cluster of the guest written in random order, then three snapshots with 400 writes after each."""
    clusters = sorted({at for start, end in _data(folder / "guest.raw") for at in _clusters(start, end)})
    dice = random.Random(7)
    dice.shuffle(clusters)
    run("qemu-img", "create", "-q", "-f", "qcow2", target, str(10 * GIB))
    with disk.open(str(folder / "guest.raw"), "r", "raw") as guest, disk.open(str(target), "r+", "qcow2") as aged:
        for at in clusters:
            aged.write(at, guest.read(at, _CLUSTER))
    for number in range(3):
        run("qemu-img", "snapshot", "-c", f"s{number}", target)
        writes = (f"write -q -P {number + 1} {dice.choice(clusters)} 64k\n" for _ in range(400))
        run("qemu-io", "-f", "qcow2", target, text="".join(writes))
    run("qemu-img", "check", "-q", target)


def _clusters(start: int, end: int) -> range:
    return range(start // _CLUSTER * _CLUSTER, end, _CLUSTER)


def _full(_folder: Path, target: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "preallocation=metadata", target, str(TIB))


def _tables(size: int, each: int) -> Callable[[Path, Path], None]:
    """``each`` clusters with 4 KiB of data in what every L2 table maps."""

    def make(_folder: Path, target: Path) -> None:
        run("qemu-img", "create", "-q", "-f", "qcow2", target, str(size))
        dice = random.Random(4)
        lines = (
            f"write -q -P 7 {table + dice.randrange(0, 512 * MIB, _CLUSTER)} 4k\n"
            for table in range(0, size, 512 * MIB)
            for _ in range(each)
        )
        run("qemu-io", "-f", "qcow2", "-t", "unsafe", target, text="".join(lines))

    return make


def _one(_folder: Path, target: Path) -> None:
    run("qemu-img", "create", "-q", "-f", "qcow2", target, "16M")
    run("qemu-io", "-f", "qcow2", target, text="write -P 1 0 1M\nwrite -P 2 5M 64k\nwrite -z 8M 1M\n")


def _many(folder: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for number in range(MANY):
        shutil.copy(folder / "one.qcow2", target / f"{number:02}.qcow2")


_RECIPES: dict[str, Callable[[Path, Path], None]] = {
    "one.qcow2": _one,
    "many": _many,
    "full.qcow2": _full,
    "sparse1.qcow2": _tables(TIB, 4),
    "sparse10.qcow2": _tables(10 * TIB, 1),
    "empty.raw": _scattered(20 * GIB),
    "empty10.raw": _scattered(10 * TIB),
    "dense.raw": _dense,
    "dense.qcow2": _converted("dense.raw", "qcow2"),
    "guest.raw": _guest,
    "small.raw": _small,
    "guest.qcow2": _converted("guest.raw", "qcow2"),
    "guest.vdi": _converted("guest.raw", "vdi"),
    "guest.vmdk": _converted("guest.raw", "vmdk"),
    "guest-zlib.qcow2": _converted("guest.raw", "qcow2", "-c"),
    "guest-zstd.qcow2": _converted("guest.raw", "qcow2", "-c", "-o", "compression_type=zstd"),
    "small.qcow2": _converted("small.raw", "qcow2"),
    "small.qcow": _converted("small.raw", "qcow"),
    "small-stream.vmdk": _converted("small.raw", "vmdk", "-o", "subformat=streamOptimized"),
    "frag.qcow2": _fragmented,
}
