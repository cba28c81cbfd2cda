"""Pools of huge pages (Documentation/admin-guide/mm/hugetlbpage.rst)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.units import KIB
from virtkit.host.memory import reserve

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel


class HugePages(NamedTuple):
    """The pool of one page size, of the host or of one node. Counts are pages; None: the kernel does not say."""

    size: int  # bytes of one page
    total: int
    free: int | None
    reserved: int | None  # promised to a process but not yet touched; known for the host, not for a node


def read_pools(kernel: Kernel, folder: str) -> tuple[HugePages, ...]:
    """The pools below ``folder``, smallest page first."""
    found = (re.fullmatch(r"hugepages-(\d{1,10})kB", name, re.ASCII) for name in kernel.names(folder))
    pools = (_pool(kernel, f"{folder}/{name[0]}", int(name[1]) * KIB) for name in found if name)
    return tuple(sorted(pool for pool in pools if pool))


def _pool(kernel: Kernel, folder: str, size: int) -> HugePages | None:
    total = kernel.number(f"{folder}/nr_hugepages")
    if total is None:
        return None
    free, reserved = kernel.number(f"{folder}/free_hugepages"), kernel.number(f"{folder}/resv_hugepages")
    return HugePages(size, total, free, reserved)


def room(kernel: Kernel, node: int) -> int | None:
    """Bytes that the pools of a node may still take: what is free or easily freed, less the host's; None: not known."""
    fields = kernel.fields(f"/sys/devices/system/node/node{node}/meminfo")
    host = kernel.fields("/proc/meminfo")
    if not {"MemTotal", "MemFree"} <= fields.keys() or "MemAvailable" not in host:
        return None
    freed = (fields.get(name, 0) for name in ("Inactive(file)", "SReclaimable"))
    return min(fields["MemFree"] + sum(freed), host["MemAvailable"]) - reserve(fields["MemTotal"])
