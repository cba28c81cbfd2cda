"""What a running machine's QEMU takes of this host, as the kernel tells: proc_pid_status(5), proc_pid_smaps(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import MachineError
from virtkit.core.units import KIB
from virtkit.vm.cpus import Cpus, parse_cpus
from virtkit.vm.process import VCPU, process_id, threads

if TYPE_CHECKING:
    from virtkit.core.system import System

_NODES = "/sys/devices/system/node"


class Footprint(NamedTuple):
    pid: int
    rss: int  # bytes in the host's memory, those shared with other processes included; huge pages (hugetlbfs) not
    swap: int
    huge: int  # of hugetlbfs
    pss: int | None  # as rss, each page divided by the processes (and KSM's users) that share it; None: not asked
    cpus: Cpus  # where the kernel lets its vCPUs run
    nodes: tuple[int, ...]  # the NUMA nodes that these CPUs belong to
    vcpu_cpus: dict[int, int]  # by vCPU, the host CPU where it ran last
    emulator_delay: int  # nanoseconds that all other threads were ready and had no CPU


def footprint(system: System, name: str, nodes: dict[int, Cpus], *, pss: bool = False) -> Footprint | None:
    """None where the machine has no process here: it is off, ends just now, or runs on another host.

    ``pss`` makes the kernel walk all of its page tables: some 10 ms for each GiB that is not in huge pages.
    """
    try:
        pid = process_id(system, name)
    except MachineError:
        return None
    own = _pairs(system.read_or(f"/proc/{pid}/status", ""))
    mine = threads(system, pid)
    cpus = tuple(sorted({cpu for thread in mine if thread.role == VCPU for cpu in thread.cpus}))
    tasks = f"/proc/{pid}/task"
    rolled = _pairs(system.read_or(f"/proc/{pid}/smaps_rollup", "")) if pss else {}
    return Footprint(
        pid,
        rss=own.get("VmRSS", 0),
        swap=own.get("VmSwap", 0),
        huge=own.get("HugetlbPages", 0),
        pss=rolled.get("Pss"),
        cpus=cpus,
        nodes=tuple(node for node, members in nodes.items() if set(members) & set(cpus)),
        vcpu_cpus={t.number: _last_cpu(system.read_or(f"{tasks}/{t.tid}/stat", "")) for t in mine if t.role == VCPU},
        emulator_delay=sum(_delay(system.read_or(f"{tasks}/{t.tid}/schedstat", "")) for t in mine if t.role != VCPU),
    )


def node_cpus(system: System) -> dict[int, Cpus]:
    """By NUMA node its CPUs; nothing where the kernel knows no nodes."""
    numbers = [name.removeprefix("node") for name in system.names(_NODES) if name.startswith("node")]
    found = sorted(int(number) for number in numbers if number.isdecimal())
    return {number: parse_cpus(system.read_or(f"{_NODES}/node{number}/cpulist", "")) for number in found}


def _pairs(said: str) -> dict[str, int]:
    """``VmRSS:     262604 kB`` -> bytes by name."""
    lines = (line.split() for line in said.splitlines())
    return {words[0].rstrip(":"): int(words[1]) * KIB for words in lines if words[2:] == ["kB"]}


def _last_cpu(stat: str) -> int:
    """Field 39 of proc_pid_stat(5); the second, a name in parentheses, may hold anything."""
    words = stat.rpartition(")")[2].split()
    return int("".join(words[36:37]) or 0)


def _delay(schedstat: str) -> int:
    """``running delayed slices``: Documentation/scheduler/sched-stats.rst."""
    words = schedstat.split()
    return int("".join(words[1:2]) or 0)
