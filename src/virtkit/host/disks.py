"""The host's disks and who orders their requests (Documentation/block/switching-sched.rst)."""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import SECTOR

if TYPE_CHECKING:
    from virtkit.host.kernel import Choice, Kernel

_BLOCK = "/sys/block"
_ONLY_WHEN_USED = re.compile(r"(?:loop|ram|zram|nbd|fd)\d+", re.ASCII)  # kernels make these in advance


class Disk(NamedTuple):
    name: str
    size: int | None  # bytes
    rotating: bool | None  # as the device says; a virtual disk often says yes on any storage
    scheduler: Choice | None  # None: requests go to the driver as they come (NVMe multipath, device mapper)


def read_disks(kernel: Kernel) -> tuple[Disk, ...]:
    """By name, without the loop, RAM and network block devices that nothing uses."""
    used = _used_names(kernel)
    names = (
        name for name in kernel.names(_BLOCK) if not _ONLY_WHEN_USED.fullmatch(name) or _in_use(kernel, name, used)
    )
    return tuple(_disk(kernel, name) for name in names)


def _disk(kernel: Kernel, name: str) -> Disk:
    folder = f"{_BLOCK}/{name}"
    sectors = kernel.number(f"{folder}/size")  # of 512 bytes, whatever the device's own are
    return Disk(
        name=name,
        size=None if sectors is None else sectors * SECTOR,
        rotating=kernel.switch(f"{folder}/queue/rotational"),
        scheduler=kernel.choice(f"{folder}/queue/scheduler"),
    )


def _used_names(kernel: Kernel) -> frozenset[str]:
    """Devices that are mounted or swapped to: the first word of the lines of both files."""
    lines = [line for path in ("/proc/mounts", "/proc/swaps") for line in (kernel.text(path) or "").splitlines()]
    return frozenset(posixpath.basename(line.split()[0]) for line in lines if line.startswith("/dev/"))


def _in_use(kernel: Kernel, name: str, used: frozenset[str]) -> bool:
    folder = f"{_BLOCK}/{name}"
    partitions = {part for part in kernel.names(folder) if part.startswith(name)}
    return bool(
        ({name} | partitions) & used
        or kernel.names(f"{folder}/holders")
        or kernel.text(f"{folder}/loop/backing_file")
        or kernel.text(f"{folder}/pid")  # a connected network block device
    )
