"""Who runs on which CPU, as the kernel lets the threads of each machine: one character for each CPU, and a legend."""

from __future__ import annotations

from string import ascii_lowercase, ascii_uppercase
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import format_list

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.vms import Vm

LETTERS = ascii_lowercase + ascii_uppercase
FLOATING = "~"  # on CPUs where vCPUs float that may not run everywhere
SEVERAL = "#"  # on a CPU that is the only one for vCPUs of several machines, or for several of one
MANY = "*"  # once the letters are used up


class Tenant(NamedTuple):
    """A machine that runs, or would run after a plan."""

    name: str
    vcpus: tuple[CpuSet, ...]
    pinned: int  # threads that may not run everywhere
    threads: int

    @property
    def cpus(self) -> CpuSet:
        return frozenset[int]().union(*self.vcpus)

    @property
    def tied(self) -> bool:
        """Whether each vCPU has exactly one CPU."""
        return bool(self.vcpus) and all(len(cpus) == 1 for cpus in self.vcpus)

    def only_by_taskset(self, cpus: CpuSet) -> bool:
        """Whether some threads are tied, and of the vCPUs none; ``cpus``: all that are online."""
        return bool(self.pinned and self.vcpus) and all(at == cpus for at in self.vcpus)


class Painting(NamedTuple):
    marks: Mapping[int, str]  # by CPU
    legend: tuple[str, ...]


def tenants(vms: Sequence[Vm], cpus: CpuSet) -> tuple[Tenant, ...]:
    """``cpus``: all that are online."""
    return tuple(
        Tenant(
            vm.name or f"process {vm.pid}",
            tuple(thread.cpus for thread in vm.threads if thread.is_vcpu),
            sum(thread.cpus != cpus for thread in vm.threads),
            len(vm.threads),
        )
        for vm in vms
    )


def paint(found: Sequence[Tenant], cpus: CpuSet) -> Painting:
    """A letter for each machine that is tied to CPUs of its own."""
    letters = iter(LETTERS)
    own = {tenant: next(letters, MANY) for tenant in found if tenant.tied}
    marks: dict[int, str] = {}
    for tenant in found:
        if not tenant.tied and tenant.cpus < cpus:
            marks |= dict.fromkeys(tenant.cpus, FLOATING)
    taken: set[int] = set()
    for tenant, letter in own.items():
        for at in tenant.vcpus:
            marks |= dict.fromkeys(at, SEVERAL if at <= taken else letter)
            taken |= at
    return Painting(marks, tuple(_legend(tenant, own.get(tenant, ""), cpus) for tenant in found))


def _legend(tenant: Tenant, letter: str, cpus: CpuSet) -> str:
    count = f"{len(tenant.vcpus)} vCPU{'' if len(tenant.vcpus) == 1 else 's'}"
    where = format_list(tenant.cpus)
    if tenant.tied:
        said = f"{count} on CPU {where}"
    elif not tenant.vcpus:
        said = "its vCPUs' threads have no names"
    elif tenant.cpus < cpus:
        letter, said = FLOATING, f"{count} float on CPU {where}"
    else:
        said = f"{count} may run on every CPU"
    return f"{letter or ' '}  {tenant.name}: {said}{_pinned(tenant, cpus)}"


def _pinned(tenant: Tenant, cpus: CpuSet) -> str:
    """``taskset -cp 0 PID`` ties one thread of many, and no vCPU."""
    if not tenant.pinned:
        return ""
    said = f"; {tenant.pinned} of {tenant.threads} threads pinned"
    return f"{said}, as taskset -p does: no vCPU is" if tenant.only_by_taskset(cpus) else said
