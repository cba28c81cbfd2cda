"""The guest's whole system, in memory: busybox, the real QEMU guest agent, virtio drivers and ``rootfs/``."""

from __future__ import annotations

import gzip
import re
from importlib import resources
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.recipes.guest import cpio
from virtkit.recipes.guest.modules import Modules

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from virtkit.core.system import System

MODULES = (
    *("virtio_pci", "button", "evdev", "virtio_blk", "virtio_net", "virtio_console", "virtio_balloon"),
    *("virtio_scsi", "ata_piix", "sd_mod", "virtio_rng", "virtio_mem", "vfat", "nls_cp437", "nls_ascii"),
)
AGENT = "usr/sbin/qemu-ga"
LOADER = "ld-linux-x86-64.so.2"
LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu")
DRIVERS = ("lib/modules", "usr/lib/modules")  # of Debian 12; of Debian 13, whose packages know no /lib any more

_RESOLVED = re.compile(r"=> (\S+) \(0x")


def build(root: Path, release: str, system: System) -> bytes:
    """The compressed archive, from packages unpacked below ``root``; equal packages give equal bytes."""
    members = [
        *_rootfs(resources.files("virtkit.recipes.guest") / "rootfs"),
        *_programs(root, system),
        *_modules(root, release),
        cpio.file("etc/os-release", _os_release(release, system)),
        *(cpio.directory(path) for path in ("dev", "proc", "sys")),
    ]
    return gzip.compress(cpio.archive(members), mtime=0)


def _rootfs(folder: Traversable, below: str = "") -> Iterator[cpio.Member]:
    """The files kept beside this module. A wheel does not keep permissions: what starts with #! is a program."""
    for entry in folder.iterdir():
        path = f"{below}{entry.name}"
        if entry.is_dir():
            yield from _rootfs(entry, f"{path}/")
        else:
            content = entry.read_bytes()
            yield cpio.file(path, content, executable=content.startswith(b"#!"))


def _programs(root: Path, system: System) -> Iterator[cpio.Member]:
    busybox = next(path for path in (root / "bin/busybox", root / "usr/bin/busybox") if path.exists())
    yield cpio.file("bin/busybox", busybox.read_bytes(), executable=True)
    yield cpio.link("bin/sh", "busybox")
    yield cpio.link("init", "bin/busybox")
    yield cpio.file("sbin/qemu-ga", (root / AGENT).read_bytes(), executable=True)
    loader = next(path for folder in LIBRARIES if (path := root / folder / LOADER).exists())
    yield cpio.file(f"lib64/{LOADER}", loader.read_bytes(), executable=True)
    for library in _libraries(root, loader, system):
        yield cpio.file(f"{LIBRARIES[0]}/{library.name}", library.read_bytes(), executable=True)


def _libraries(root: Path, loader: Path, system: System) -> list[Path]:
    """What the agent loads: its own loader says so, looking below ``root`` only."""
    folders = ":".join(str(root / folder) for folder in LIBRARIES)
    question = [str(loader), "--inhibit-cache", "--library-path", folders, "--list", str(root / AGENT)]
    listed = system.run(question).stdout
    paths = sorted(_RESOLVED.findall(listed))
    if "not found" in listed or not all(path.startswith(str(root)) for path in paths):
        raise NotSupportedError(f"{AGENT}: libraries are {' '.join(listed.split())}, expected all in its packages")
    return [root / path for path in paths]


def _modules(root: Path, release: str) -> Iterator[cpio.Member]:
    folder = next((path for place in DRIVERS if (path := root / place / release).exists()), None)
    if folder is None:
        raise NotSupportedError(f"kernel package: has no modules of {release}, expected in {' or '.join(DRIVERS)}")
    modules = Modules(folder).in_order(MODULES)
    for name, content in modules.items():
        yield cpio.file(f"lib/modules/{name}.ko", content)
    yield cpio.file("lib/modules/order", "".join(f"{name}\n" for name in modules).encode())


def _os_release(release: str, system: System) -> bytes:
    """os-release(5); the packages are those of the host's distribution."""
    lines = system.read_or("/etc/os-release", "").splitlines()
    host = {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
    base = host.get("PRETTY_NAME", "Debian GNU/Linux")
    return (
        'NAME="virtkit demo guest"\n'
        f'PRETTY_NAME="virtkit demo guest ({base})"\n'
        "ID=virtkit-demo\nID_LIKE=debian\n"
        f'VERSION_ID="{host.get("VERSION_ID", "")}"\n'
        f'VERSION="{release}"\n'
    ).encode()
