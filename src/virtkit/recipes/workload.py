"""What a machine is for decides how QEMU treats its disk.

``none`` and ``writeback`` differ in where the cache is (guest memory alone, or the host's as well), not in what a
flush of the guest guarantees: both pass every flush on. ``writethrough`` adds a flush to every write.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from pathlib import Path

Workload: TypeAlias = Literal["web", "database", "realtime", "desktop", "build"]


class DiskPolicy(NamedTuple):
    cache: Literal["none", "writeback"]
    io: Literal["native", "threads"]  # native needs O_DIRECT, which cache none has
    why: str


_HOST_CACHE = "reads come from the host's page cache, shared by machines with like disks"
_DIRECT = "the guest caches for itself; O_DIRECT keeps the data out of the host's memory and its write-back bursts"
POLICIES: dict[Workload, DiskPolicy] = {
    "web": DiskPolicy("writeback", "threads", _HOST_CACHE),
    "build": DiskPolicy("writeback", "threads", _HOST_CACHE),
    "desktop": DiskPolicy("writeback", "threads", _HOST_CACHE),
    "database": DiskPolicy("none", "native", _DIRECT),
    "realtime": DiskPolicy("none", "native", _DIRECT),
}


def disk_policy(workload: Workload, directory: Path) -> DiskPolicy:
    """The policy for a disk in ``directory``; where the file system has no O_DIRECT (tmpfs), cache none cannot be."""
    policy = POLICIES[workload]
    if policy.cache == "none" and not takes_direct_io(directory):
        return DiskPolicy("writeback", "threads", f"{directory} has no O_DIRECT, so cache none is not possible")
    return policy


def takes_direct_io(directory: Path) -> bool:
    """Tried on an unnamed file in the nearest directory that exists; False where nothing can be written."""
    while not directory.is_dir():
        directory = directory.parent
    try:
        os.close(os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC, 0o600))
    except OSError:
        return False
    return True
