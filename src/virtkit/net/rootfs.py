"""Whether the host's own file system comes over the network: such a host must not lose it for a moment."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System

FILE_SYSTEMS = {"nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "9p", "fuse.glusterfs", "fuse.sshfs"}
# What a block device's place in /sys shows, and the transport that it tells of.
TRANSPORTS = {
    r"/session\d+/target": "iSCSI",
    r"/block/nbd\d+": "a network block device",
    r"/block/rbd\d+": "Ceph",
    r"/block/drbd\d+": "DRBD",
    r"/nvme-fabrics/": "NVMe over fabrics",
}
DEEPEST = 8  # of devices on devices: LUKS on LVM on RAID on multipath on a disk are five


def over_network(system: System) -> str:
    """``is nfs4 on 10.0.0.1:/export``; empty: it does not, as far as the kernel tells."""
    for line in system.read_or("/proc/mounts", "").splitlines():
        source, mount, kind, *_ = line.split()
        if mount == "/" and (kind in FILE_SYSTEMS or source.startswith("/dev/nbd")):
            return f"is {kind} on {source}"
    for number in _devices(system):
        for place in _places(system, number):
            for pattern, transport in TRANSPORTS.items():
                if re.search(pattern, place):
                    return f"is on {transport} ({place.rpartition('/')[2]})"
    return ""


def _devices(system: System) -> Iterator[str]:
    """Of ``/``, as MAJOR:MINOR (proc_pid_mountinfo(5))."""
    for line in system.read_or("/proc/self/mountinfo", "").splitlines():
        words = line.split()
        if words[4] == "/":
            yield words[2]


def _places(system: System, number: str, depth: int = 0) -> Iterator[str]:
    """Where the device is in /sys, and those that it stands on."""
    link = system.path(f"/sys/dev/block/{number}")
    if depth > DEEPEST or not link.exists():
        return
    place = os.path.realpath(link)
    yield place
    for below in system.names(f"/sys/dev/block/{number}/slaves"):
        yield from _places(system, system.read_or(f"/sys/dev/block/{number}/slaves/{below}/dev", ""), depth + 1)
