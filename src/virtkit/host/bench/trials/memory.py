"""What big pages are worth to a program that jumps about in its memory."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.units import format_size
from virtkit.host.bench.walk import HUGE, HUGETLB, PLAIN, SMALL, TRANSPARENT, walk
from virtkit.host.kernel import Kernel
from virtkit.host.memory import read_thp, spare
from virtkit.host.numa import read_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.core.system import System
    from virtkit.host.bench.trial import Setup


class Memory:
    about = "a walk through memory at random, behind 4 KiB pages, transparent huge pages or hugetlb pages"
    unit = "ns per step"

    def sides(self, system: System, directory: str) -> tuple[str, ...]:
        return SMALL, TRANSPARENT, HUGETLB, PLAIN

    def plain(self, system: System, directory: str) -> str:
        return PLAIN

    def borrows(self, system: System, setup: Setup) -> dict[str, str]:
        kernel = Kernel(system)
        if setup.size % HUGE or not setup.size:
            raise UsageError(f"memory: --size is {format_size(setup.size)}, expected a multiple of 2 MiB")
        if (room := spare(kernel)) is not None and setup.size > room:
            most = f"expected at most the {format_size(max(room, 0))} that the host can spare"
            raise NotSupportedError(f"memory: --size is {format_size(setup.size)}, {most}")
        wishes: dict[str, str] = {}
        if TRANSPARENT in {setup.a, setup.b}:
            wishes |= _transparent(kernel)
        if HUGETLB in {setup.a, setup.b}:
            wishes |= _pool(setup.size, kernel)
        return wishes

    @contextmanager
    def ready(self, system: System, setup: Setup) -> Iterator[Callable[[str], float]]:
        seeds = count()
        yield lambda side: walk(setup.size, side, next(seeds))


def _transparent(kernel: Kernel) -> dict[str, str]:
    thp = read_thp(kernel)
    if thp is None:
        raise NotSupportedError("memory: this kernel has no transparent huge pages")
    return {"thp.enabled": "madvise"} if thp.enabled.value == "never" else {}


def _pool(size: int, kernel: Kernel) -> dict[str, str]:
    """Free pages for the walk, of the node with most free memory; what is free already is used."""
    nodes = read_nodes(kernel, kernel.cpu_list("/sys/devices/system/cpu/online") or frozenset())
    node = max(nodes, key=lambda node: node.free or 0)
    pool = next((pool for pool in node.hugepages if pool.size == HUGE), None)
    if pool is None:
        raise NotSupportedError("memory: this kernel has no huge pages of 2 MiB")
    lacking = size // HUGE - (pool.free or 0)
    return {f"hugepages.2M@{node.number}": str(pool.total + lacking)} if lacking > 0 else {}


TRIAL = Memory()
