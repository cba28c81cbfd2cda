"""A guest with Python, this very virtkit and a kit: the demo's guest and a second archive behind its initramfs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

import rich

import virtkit
from virtkit.core.progress import silent
from virtkit.core.system import System
from virtkit.recipes import guest
from virtkit.recipes.guest import cpio, packages, store
from virtkit.recipes.guest.initramfs import DRIVERS, LIBRARIES, LOADER
from virtkit.recipes.guest.modules import Modules
from virtkit.recipes.guest.packages import Package

if TYPE_CHECKING:
    from collections.abc import Iterator

PYTHON = ("python3-minimal", "libpython3-stdlib")
ALWAYS = r"lib(?!perl)|python3.*-minimal$|zlib1g$"
LEFT_OUT = {"__pycache__", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tkinter", "unittest"}
LVM_CONF = b"""\
activation { udev_sync=0 udev_rules=0 monitoring=0 }
devices { obtain_device_list_from_udev=0 }
global { thin_check_executable="" }
"""
DRIVE = """\
while read -r module; do insmod "/lib/workshop.d/$module.ko"; done </lib/workshop.d/order
"""
START = """\
export PATH=/sbin:/bin:/usr/bin LC_ALL=C.UTF-8 VIRTKIT_STATE_DIR=/run/virtkit PYTHONPATH=/opt
"""


class Kit(NamedTuple):
    """What a guest has besides Python and virtkit."""

    packages: tuple[str, ...]
    programs: tuple[str, ...]  # of the packages, with the links that lead to them
    modules: tuple[str, ...]
    drivers: tuple[str, ...]  # where the kernel's package has them, as patterns below ``kernel/``
    files: tuple[tuple[str, bytes], ...] = ()
    folders: tuple[str, ...] = ()  # of the packages, with all that is in them


LVM = Kit(
    ("lvm2",),
    ("sbin/lvm", "sbin/dmsetup"),
    ("dm_mod", "dm_snapshot", "dm_thin_pool"),
    ("drivers/md/*",),
    (("etc/lvm/lvm.conf", LVM_CONF),),
)
NETWORK = Kit(
    ("iproute2", "iputils-ping"),
    ("bin/ip", "bin/ping"),
    ("8021q", "bonding", "bridge", "veth"),
    (
        "net/8021q/*",
        "net/802/*",
        "net/llc/*",
        "net/bridge/*",
        "net/tls/*",
        "drivers/net/bonding/*",
        "drivers/net/veth*",
    ),
)

IFUPDOWN = Kit(
    (*NETWORK.packages, "ifupdown", "bridge-utils"),
    (*NETWORK.programs, "sbin/ifup", "sbin/brctl"),
    ("bridge", "veth", "ext4"),
    (*NETWORK.drivers, "fs/ext4/*", "fs/jbd2/*", "fs/mbcache*", "crypto/crc32c*"),
    folders=("etc/network", "lib/bridge-utils"),
)


def build(folder: Path, kit: Kit) -> tuple[Path, Path]:
    """Kernel and initramfs; NotSupportedError where there are no Debian packages."""
    system = System()
    kernel, initramfs = guest.kernel_and_initramfs(system)
    wanted = _packages(system, kit)
    archives = store.cache(system) / "workshop"
    archives.mkdir(exist_ok=True)
    packages.fetch(wanted, archives, system, silent)
    with TemporaryDirectory() as place:
        root = Path(place)
        packages.unpack(wanted, archives, root, system)
        archive = cpio.archive([*_programs(root, kit), *_python(root), *_modules(root, kit), *_source()])
    first = initramfs.read_bytes()
    target = folder / "initramfs"
    target.write_bytes(first + bytes(-len(first) % 4) + archive)
    return kernel, target


def _packages(system: System, kit: Kit) -> list[Package]:
    only = [f"--no-{word}" for word in ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")]
    listed = system.run(["apt-cache", "depends", "--recurse", *only, *kit.packages, *PYTHON]).stdout.splitlines()
    named = {line for line in listed if line and line[0] not in " |<"}
    names = sorted(name for name in named if re.match(ALWAYS, name) or name in {*kit.packages, "dmsetup"})
    shown = system.run(["apt-cache", "show", "--no-all-versions", *names]).stdout
    records = list(packages._records(shown))
    return [Package(record["Package"], record["Version"], int(record["Size"])) for record in records]


def _programs(root: Path, kit: Kit) -> Iterator[cpio.Member]:
    programs = {name: _at(root, name) for name in kit.programs}
    python = next(path for path in sorted((root / "usr/bin").glob("python3.*")) if not path.is_symlink())
    for target, path in {**programs, "usr/bin/python3": python}.items():
        yield cpio.file(target, path.read_bytes(), executable=True)
    for path in programs.values():
        for link in sorted(path.parent.iterdir()):
            if link.is_symlink() and link.readlink() == Path(path.name):
                yield cpio.link(f"{path.parent.name}/{link.name}", path.name)
    extensions = sorted(root.glob("usr/lib/python3.*/lib-dynload/_ctypes.*.so"))
    for library in _libraries(root, [*programs.values(), python, *extensions]):
        yield cpio.file(f"{LIBRARIES[0]}/{library.name}", library.read_bytes(), executable=True)
    for name, content in kit.files:
        yield cpio.file(name, content)
    for name in kit.folders:
        yield from _files(_at(root, name), name)
    yield cpio.file("lib/workshop", START.encode())
    yield cpio.file("lib/drivers", DRIVE.encode())


def _at(root: Path, name: str) -> Path:
    """Debian 12's packages know /sbin, those of Debian 13 /usr/sbin alone."""
    return next(path for path in (root / name, root / "usr" / name) if path.exists())


def _libraries(root: Path, programs: list[Path]) -> list[Path]:
    loader = next(path for folder in LIBRARIES if (path := root / folder / LOADER).exists())
    folders = ":".join(str(root / folder) for folder in LIBRARIES)
    question = [str(loader), "--inhibit-cache", "--library-path", folders, "--list"]
    found: set[str] = set()
    for program in programs:
        listed = subprocess.run([*question, program], capture_output=True, text=True, check=True).stdout
        found.update(re.findall(r"=> (\S+) \(0x", listed))
    return [Path(path) for path in sorted(found)]


def _python(root: Path) -> Iterator[cpio.Member]:
    home = next(path for path in sorted((root / "usr/lib").glob("python3.*")) if (path / "os.py").exists())
    yield from _tree(home, f"usr/lib/{home.name}")


def _source() -> Iterator[cpio.Member]:
    for package in (virtkit, rich):
        yield from _tree(Path(str(package.__file__)).parent, f"opt/{package.__name__}")


def _files(folder: Path, target: str) -> Iterator[cpio.Member]:
    """As a package has them: scripts are programs."""
    for path in sorted(folder.rglob("*")):
        name = f"{target}/{path.relative_to(folder)}"
        if path.is_symlink():
            yield cpio.link(name, os.readlink(path))
        elif path.is_file():
            yield cpio.file(name, path.read_bytes(), executable=os.access(path, os.X_OK))


def _tree(folder: Path, target: str) -> Iterator[cpio.Member]:
    for path in sorted(folder.iterdir()):
        if path.name in LEFT_OUT:
            continue
        if path.is_symlink():
            yield cpio.link(f"{target}/{path.name}", os.readlink(path))
        elif path.is_dir():
            yield from _tree(path, f"{target}/{path.name}")
        else:
            yield cpio.file(f"{target}/{path.name}", path.read_bytes())


def _modules(root: Path, kit: Kit) -> Iterator[cpio.Member]:
    """Of the very kernel that is booted."""
    package = next((store.cache(System()) / "guest" / "packages.d").glob("linux-image-*.deb"))
    patterns = [
        f"./{place}/*/{part}"
        for place in DRIVERS
        for part in (*(f"kernel/{found}" for found in kit.drivers), "kernel/lib/*")
    ]
    patterns += [f"./{place}/*/modules.builtin" for place in DRIVERS]
    unpacked = root / "kernel"
    unpacked.mkdir()
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
        tar = ["tar", "-x", "-C", str(unpacked), "--wildcards", *patterns]
        subprocess.run(tar, stdin=files.stdout, check=False, capture_output=True)  # one of the places is not there
    release = next(path for place in DRIVERS for path in (unpacked / place).glob("*"))
    modules = Modules(release).in_order(kit.modules)
    for name, content in modules.items():
        yield cpio.file(f"lib/workshop.d/{name}.ko", content)
    yield cpio.file("lib/workshop.d/order", "".join(f"{name}\n" for name in modules).encode())
