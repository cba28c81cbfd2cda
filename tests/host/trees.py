"""Directories that stand in for a host: written by the test, or taken from hwloc's collection of real machines."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from support import others
from virtkit.core.system import System
from virtkit.host.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
NODES = "/sys/devices/system/node"
CPUS = "/sys/devices/system/cpu"

_OF_CPU = r"online|topology/\w*(?:cpus|siblings|id)(?:_list)?|cache/index\d+/(?:level|type|size|shared_cpu_\w+)"
_CPU = rf"cpu/(?:online|possible|present|cpu\d+/(?:{_OF_CPU}))"
_NODE = r"node/(?:\w+|node\d+/(?:cpumap|cpulist|meminfo|distance|hugepages/.*|access\d/initiators/.*))"
_PCI = r"sys/devices/pci[^/]+/(?:[^/]+/)+(?:class|vendor|device|numa_node)"
_READ = re.compile(rf"sys/devices/system/(?:{_CPU}|{_NODE})|{_PCI}|proc/(?:cpu|mem)info")
_LINK = re.compile(r"sys/bus/pci/devices/[^/]+|sys/devices/pci[^/]+/(?:[^/]+/)+(?:driver|iommu_group)")


def plant(root: Path, files: Mapping[str, str]) -> System:
    """A host of exactly these files; paths are absolute, as on the host."""
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return System(root)


def planted(root: Path, files: Mapping[str, str]) -> Kernel:
    return Kernel(plant(root, files))


def trees() -> list[str]:
    """The names of all machines; none where the collection is absent."""
    found = others.find("topologies")
    return [path.name.removesuffix(".tar.bz2") for path in found.glob("*.tar.bz2")] if found else []


@contextmanager
def machine(name: str) -> Iterator[System]:
    """The files of one machine that a topology is read from."""
    with _place() as root:
        yield _unpack(name, root)


@contextmanager
def devices(name: str) -> Iterator[System]:
    """The files of one machine that devices are read from, with the links among them."""
    with _place() as root:
        tree = others.folder("topologies") / f"{name}.tar.bz2"
        parts = [f"{name}/sys/{part}" for part in ("bus/pci/devices", "devices/pci*", "class/net", "block")]
        command = ["tar", "-xjf", str(tree), "-C", str(root), "--wildcards", "--exclude=*/power/*", *parts]
        subprocess.run(command, check=True)
        yield System(root / name)


@contextmanager
def _place() -> Iterator[Path]:
    """In memory where that is possible, for the files are many."""
    with TemporaryDirectory(prefix="virtkit-tree-", dir=MEMORY) as folder:
        yield Path(folder)


def _unpack(name: str, root: Path) -> System:
    with tarfile.open(others.folder("topologies") / f"{name}.tar.bz2") as tree:
        for member in tree:
            _, _, path = member.name.partition("/")
            linked = member.issym() and _LINK.fullmatch(path)
            if not (linked or _READ.fullmatch(path)) or member.isdir():
                continue
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            if linked:
                (root / path).symlink_to(member.linkname)
                continue
            content = tree.extractfile(member) if member.isreg() else None
            if content:
                (root / path).write_bytes(content.read())
            elif "/initiators/" in path:  # links to nodes; their names say all
                (root / path).mkdir(exist_ok=True)
    return System(root)
