"""What stands against taking CPUs offline while the host runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.host.programs import read_programs
from virtkit.host.vms import read_vms

if TYPE_CHECKING:
    from virtkit.core.cpuset import CpuSet
    from virtkit.host.kernel import Kernel


def objection(kernel: Kernel, gone: CpuSet) -> str:
    """Why the CPUs must not go now; empty: they may."""
    return _loses_for_good(kernel) or _pinned(kernel, gone)


def _loses_for_good(kernel: Kernel) -> str:
    """Cpusets of version 1 are told which CPUs are left, and keep to that when the others come back."""
    rows = [line.split() for line in (kernel.text("/proc/mounts") or "").splitlines()]
    mounts = [row[1] for row in rows if len(row) > 3 and row[2] == "cgroup" and "cpuset" in row[3].split(",")]  # noqa: PLR2004  as cgroups.read_cgroups
    for mount in mounts:
        for name in kernel.names(mount):
            if kernel.text(f"{mount}/{name}/cpuset.cpus"):
                return (
                    f"the cpuset {mount}/{name} is of version 1 and would not get them back when they are online again"
                )
    return ""


def _pinned(kernel: Kernel, gone: CpuSet) -> str:
    """A thread whose CPUs all go is moved by the kernel to any other: its pinning is lost."""
    for vm in read_vms(kernel, read_programs(kernel)):
        for thread in vm.threads:
            if thread.cpus <= gone:
                name, cpus = vm.name or f"process {vm.pid}", format_list(thread.cpus)
                return f"{name}: thread {thread.name} is pinned to CPUs {cpus}, which would go away: move it first"
    return ""
