"""Where a machine of this host is: CPUs that its vCPUs may use, their NUMA nodes, and what memory QEMU holds.

proc(5): /proc/PID/status; Documentation/ABI/stable/sysfs-devices-node for the nodes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError, UsageError
from virtkit.core.units import KIB
from virtkit.vm.cpus import Cpus, parse_cpus
from virtkit.vm.process import VCPU, process_id, threads

if TYPE_CHECKING:
    from virtkit.core.system import System

_NODES = "/sys/devices/system/node"


class Place(NamedTuple):
    """Memory in bytes; zeros and nothing for a machine of another host."""

    cpus: Cpus = ()  # that any of its vCPUs may run on, as the kernel has it
    everywhere: bool = True  # all that the host has: not pinned
    nodes: tuple[int, ...] = ()  # of these CPUs
    resident: int = 0
    huge: int = 0  # in pages of hugetlbfs, which are not counted as resident
    swapped: int = 0


NOWHERE = Place()


def place(system: System, name: str) -> Place:
    try:
        pid = process_id(system, name)
    except MachineError:  # of another host, or it has just ended
        return NOWHERE
    found = {cpu for thread in threads(system, pid) if thread.role == VCPU for cpu in thread.cpus}
    held = dict(_fields(system.read_or(f"/proc/{pid}/status", "")))
    online = _list(system, "/sys/devices/system/cpu/online")
    return Place(
        cpus=tuple(sorted(found)),
        everywhere=not found or found >= set(online),
        nodes=tuple(_nodes(system, found)),
        resident=held.get("VmRSS", 0),
        huge=held.get("HugetlbPages", 0),
        swapped=held.get("VmSwap", 0),
    )


def _nodes(system: System, cpus: set[int]) -> list[int]:
    numbers = [int(name[4:]) for name in system.names(_NODES) if name.startswith("node") and name[4:].isdecimal()]
    return [number for number in sorted(numbers) if cpus & set(_list(system, f"{_NODES}/node{number}/cpulist"))]


def _list(system: System, path: str) -> Cpus:
    try:
        return parse_cpus(system.read_or(path, "").strip())
    except UsageError:
        return ()


def _fields(status: str) -> list[tuple[str, int]]:
    """``VmRSS:  1234 kB`` as bytes."""
    words = [line.split() for line in status.splitlines()]
    return [(each[0].rstrip(":"), int(each[1]) * KIB) for each in words if each[-1:] == ["kB"]]
