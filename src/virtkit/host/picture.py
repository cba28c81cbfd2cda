"""Everything that virtkit reads about the host, as one picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.core.units import format_size
from virtkit.host.accelerator import Kvm, read_kvm
from virtkit.host.cgroups import Cgroups, read_cgroups
from virtkit.host.commandline import CommandLine, read_command_line
from virtkit.host.cpu import Cpu, Guest, read_cpu, read_guest
from virtkit.host.disks import Disk, read_disks
from virtkit.host.hugepages import HugePages, read_pools
from virtkit.host.kernel import Kernel
from virtkit.host.memory import Ksm, Memory, Thp, read_ksm, read_memory, read_thp
from virtkit.host.pci import PciDevice, read_pci
from virtkit.host.programs import Tuner, find_tuners, read_programs
from virtkit.host.topology import Topology, read_topology
from virtkit.host.vms import Vm, read_vms

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.system import System

_SLACK = 0.05  # of the memory: old kernels count what they keep for themselves in the nodes, up to 2 %


@dataclass(frozen=True)
class HostFacts:
    """None anywhere below means "not available": this kernel or this hardware does not have it."""

    kernel: str | None  # release
    command_line: CommandLine
    kvm: Kvm
    cpu: Cpu
    guest: Guest
    topology: Topology
    memory: Memory
    thp: Thp | None
    ksm: Ksm | None
    hugepages: tuple[HugePages, ...]  # of the whole host; each node has its own in topology
    disks: tuple[Disk, ...]
    pci: tuple[PciDevice, ...]
    cgroups: Cgroups
    tuners: tuple[Tuner, ...]  # programs that change knobs by themselves
    vms: tuple[Vm, ...]  # that run, whoever started them
    doubts: tuple[str, ...]  # files whose content contradicts the kernel's documentation or each other

    def data(self) -> dict[str, Json]:
        """Keys are the names of the fields; sizes are bytes; sets of CPUs are lists as the kernel writes them."""
        return data(self)


def read_facts(system: System, override: str = "") -> HostFacts:
    """``override`` as in ``read_kvm``; UsageError for another word, nothing else is raised."""
    kernel = Kernel(system)
    cpu = read_cpu(kernel)
    guest = read_guest(kernel, cpu)
    memory, topology = read_memory(kernel), read_topology(kernel)
    _compare(kernel, memory, topology)
    programs = read_programs(kernel)
    return HostFacts(
        kernel=kernel.text("/proc/sys/kernel/osrelease"),
        command_line=read_command_line(kernel),
        kvm=read_kvm(kernel, cpu, guest, override),
        cpu=cpu,
        guest=guest,
        topology=topology,
        memory=memory,
        thp=read_thp(kernel),
        ksm=read_ksm(kernel),
        hugepages=read_pools(kernel, "/sys/kernel/mm/hugepages"),
        disks=read_disks(kernel),
        pci=read_pci(kernel),
        cgroups=read_cgroups(kernel),
        tuners=find_tuners(kernel, programs),
        vms=read_vms(kernel, programs),
        doubts=tuple(kernel.doubts),
    )


def _compare(kernel: Kernel, memory: Memory, topology: Topology) -> None:
    """Kernels below a hypervisor that plugs memory in have been seen to leave it out of the nodes."""
    parts = [node.memory for node in topology.nodes]
    if memory.total is None or None in parts:
        return
    nodes = sum(part for part in parts if part is not None)
    if abs(nodes - memory.total) > memory.total * _SLACK:
        found = f"NUMA nodes have {format_size(nodes)} together"
        kernel.doubts.append(f"{found}, expected the {format_size(memory.total)} of /proc/meminfo")


def data(record: object) -> dict[str, Json]:
    """The fields of any record of this area, as ``HostFacts.data`` spells them."""
    names = record._fields if isinstance(record, tuple) and hasattr(record, "_fields") else vars(record)
    return {name: _json(getattr(record, name)) for name in names}


def _json(value: object) -> Json:
    if value is None or isinstance(value, bool | int | str):
        return value
    if is_dataclass(value) or hasattr(value, "_fields"):
        return data(value)
    if isinstance(value, frozenset):
        return sorted(value) if any(isinstance(member, str) for member in value) else format_list(value)
    if isinstance(value, Mapping):
        return {str(key): _json(member) for key, member in value.items()}
    if isinstance(value, tuple):
        return [_json(member) for member in value]
    raise TypeError(f"{type(value).__name__} has no spelling in JSON")
