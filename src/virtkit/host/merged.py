"""What KSM has merged, and what machines take: read by knobs and actions (Documentation/admin-guide/mm/ksm.rst)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import format_size
from virtkit.host.memory import spare
from virtkit.host.programs import read_programs
from virtkit.host.vms import read_vms

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel
    from virtkit.host.vms import Vm

KSM = "/sys/kernel/mm/ksm"
PAGE = os.sysconf("SC_PAGE_SIZE")


class Taken(NamedTuple):
    """By a machine, in bytes; None: the kernel does not say, or says it to root alone."""

    memory: int | None  # pages that n share count 1/n
    huge: int | None  # of it in transparent huge pages

    @classmethod
    def of(cls, vm: Vm) -> Taken:
        return cls(vm.memory.proportional, vm.memory.huge)


def merged_pages(kernel: Kernel) -> int:
    """Pages that need no room of their own."""
    return kernel.number(f"{KSM}/pages_sharing") or 0


def lack_of_room(kernel: Kernel) -> str:
    """Why merged pages cannot be taken apart now: each needs room of its own again. Empty: they can."""
    need, room = merged_pages(kernel) * PAGE, spare(kernel)
    if room is None or need <= room:
        return ""
    return f"{format_size(need)} are merged and need room of their own, the host can spare {format_size(max(room, 0))}"


def taken(kernel: Kernel) -> dict[int, Taken]:
    """By the number of the machine's process."""
    return {vm.pid: Taken.of(vm) for vm in read_vms(kernel, read_programs(kernel))}
