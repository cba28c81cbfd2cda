"""The first disk from a directory that holds a root file system, and the kernel in it, which QEMU boots itself.

The disk has no partitions and no boot loader: it is one ext4 file system, found by its UUID.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple
from uuid import uuid4

from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError
from virtkit.core.units import MIB, format_size, round_up
from virtkit.recipes.files import CopyFile
from virtkit.recipes.making.filesystem import TreeDisk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.recipes.making.order import Storage

_INITS = ("sbin/init", "init", "etc/init", "bin/init", "lib/systemd/systemd", "usr/lib/systemd/systemd")
_NEEDED = ("virtio_pci", "virtio_blk", "ext4")  # to find the root file system without an initrd
_ROOM = 1.15  # ext4's own tables, and its reserve
_LEAST = 64 * MIB


class Kernel(NamedTuple):
    """Paths of this host."""

    image: str
    initrd: str  # empty: it needs none


class Planted(NamedTuple):
    """What is made of a tree."""

    actions: tuple[TreeDisk | CopyFile, ...]
    kernel: str
    initrd: str
    arguments: str


def plan(name: str, wanted: Storage, target: str, size: int, system: System) -> Planted:
    """UsageError, NotFoundError, NotSupportedError for a tree that would not boot; ``size`` is in bytes."""
    tree, form = wanted.tree, wanted.format
    _check(name, tree, system)
    kernel = find_kernel(name, tree)
    taken = _allocated(tree)
    if size < (least := round_up(int(taken * _ROOM) + _LEAST, MIB)):
        told = f"{name}: size is {format_size(size)}, expected at least {format_size(least)}"
        raise UsageError(f"{told} for the {format_size(taken)} of {tree}", hint=f"--size {format_size(least)}")
    uuid = str(uuid4())
    steps: list[TreeDisk | CopyFile] = [TreeDisk(target, tree, size, form, uuid)]
    beside = os.path.join(os.path.dirname(target), name)
    steps.append(CopyFile(kernel.image, f"{beside}-vmlinuz", "its kernel"))
    if kernel.initrd:
        steps.append(CopyFile(kernel.initrd, f"{beside}-initrd.img", "its initrd"))
    root = f"UUID={uuid}" if kernel.initrd else "/dev/vda"
    arguments = f"root={root} rw console=tty0 console=ttyS0"
    return Planted(tuple(steps), f"{beside}-vmlinuz", f"{beside}-initrd.img" if kernel.initrd else "", arguments)


def find_kernel(name: str, tree: str) -> Kernel:
    """The newest, with its initrd. NotSupportedError where it could not find its root file system."""
    images = sorted(_plain(f"{tree}/boot", "vmlinuz"), key=_version)
    if not images:
        hint = "mmdebstrap --include=linux-image-cloud-amd64,systemd-sysv,udev ... makes one that has"
        raise NotSupportedError(f"{name}: {tree} has no boot/vmlinuz, expected a kernel that boots it", hint=hint)
    image = images[-1]
    version = os.path.basename(image).removeprefix("vmlinuz").removeprefix("-")
    for initrd in (f"initrd.img-{version}", f"initramfs-{version}.img", f"initrd-{version}", "initrd.img"):
        if os.path.isfile(path := f"{tree}/boot/{initrd}"):
            return Kernel(image, os.path.realpath(path))
    if missing := set(_NEEDED) - _built_in(f"{tree}/lib/modules/{version}"):
        found = f"{name}: {image} has no initrd beside it, and {', '.join(sorted(missing))} not built in"
        raise NotSupportedError(found, hint=f"chroot {tree} update-initramfs -c -k {version}   (dracut)")
    return Kernel(image, "")


def _check(name: str, tree: str, system: System) -> None:
    if not os.path.isdir(tree):
        raise NotFoundError(f"{name}: {tree}: no such directory", hint="ls -ld")
    if not any(os.path.lexists(f"{tree}/{init}") for init in _INITS):
        found = f"{name}: {tree} has no sbin/init, expected a root file system with something to start"
        raise NotSupportedError(found, hint="mmdebstrap --include=systemd-sysv,udev,linux-image-cloud-amd64 ...")
    if (owner := os.stat(tree).st_uid) != 0:
        found = f"{name}: {tree} belongs to user {owner}, expected root: so would its files in the guest"
        raise NotSupportedError(found, hint=f"sudo chown -R root:root {tree}, or make it as root")
    real = os.path.realpath(tree)
    for mounted in sorted(_mounts(system)):
        if mounted.startswith(f"{real}/"):
            raise UsageError(f"{name}: {mounted} is mounted, and would be copied", hint=f"umount {mounted}")


def _plain(folder: str, start: str) -> Iterator[str]:
    """The files themselves: a link may lead out of the tree."""
    for entry in os.scandir(folder) if os.path.isdir(folder) else ():
        if entry.name.startswith(start) and entry.is_file(follow_symlinks=False):
            yield entry.path


def _version(path: str) -> tuple[tuple[bool, int, str], ...]:
    """So that 6.10 comes after 6.9."""
    parts = os.path.basename(path).replace("-", ".").split(".")
    return tuple((part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def _built_in(modules: str) -> set[str]:
    try:
        with open(f"{modules}/modules.builtin", encoding="ascii") as lines:
            return {os.path.basename(line.strip()).removesuffix(".ko").replace("-", "_") for line in lines}
    except OSError:
        return set()


def _allocated(tree: str) -> int:
    """Bytes on the file system, hard links counted once."""
    seen: dict[tuple[int, int], int] = {}
    for folder, _, files in os.walk(tree):
        for path in (folder, *(os.path.join(folder, file) for file in files)):
            found = os.lstat(path)
            seen[found.st_dev, found.st_ino] = found.st_blocks * 512
    return sum(seen.values())


def _mounts(system: System) -> set[str]:
    """Where something is mounted, proc_pid_mountinfo(5)."""
    lines = system.read("/proc/self/mountinfo").splitlines()
    return {line.split()[4].encode().decode("unicode_escape") for line in lines}
