"""Which processes hold pages of the pools of huge pages, and on which node (proc_pid_numa_maps(5))."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB
from virtkit.host.programs import read_programs
from virtkit.host.vms import read_vms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.host.kernel import Kernel

_LIMIT = 1 << 24  # bytes: a machine with many devices has many mappings
_PAGE = re.compile(r"kernelpagesize_kB=(\d{1,10})", re.ASCII)
_ON_NODE = re.compile(r"N(\d{1,5})=(\d{1,12})", re.ASCII)


class Held(NamedTuple):
    node: int
    size: int  # bytes of a page
    pages: int


class Holder(NamedTuple):
    pid: int
    name: str  # the machine's, else the program's
    machine: bool
    held: tuple[Held, ...]  # empty: it holds some, and the kernel does not say where (no root, no NUMA)

    def pages(self, node: int, size: int) -> int:
        return sum(held.pages for held in self.held if (held.node, held.size) == (node, size))


def read_holders(kernel: Kernel) -> tuple[Holder, ...]:
    """By process number; who has a mapping but touched none of it has only reserved, and holds nothing."""
    programs = read_programs(kernel)
    machines = {vm.pid: vm.name for vm in read_vms(kernel, programs)}
    return tuple(
        Holder(pid, machines.get(pid) or program, pid in machines, tuple(_held(kernel, pid)))
        for pid, program in programs.items()
        if kernel.fields(f"/proc/{pid}/status").get("HugetlbPages")
    )


def _held(kernel: Kernel, pid: int) -> Iterator[Held]:
    counts: Counter[tuple[int, int]] = Counter()
    for line in (kernel.text(f"/proc/{pid}/numa_maps", _LIMIT) or "").splitlines():
        size = _PAGE.search(line)
        if size and " huge " in line:
            for node, pages in _ON_NODE.findall(line):
                counts[int(node), int(size[1]) * KIB] += int(pages)
    return (Held(node, size, pages) for (node, size), pages in sorted(counts.items()))
