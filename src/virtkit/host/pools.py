"""Pools of huge pages, node by node: set aside, and given back (Documentation/admin-guide/mm/hugetlbpage.rst).

Never through the file of the whole host: it spreads pages as it likes, and takes from a node what was set there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.units import GIB, MIB, format_size
from virtkit.host.holders import read_holders
from virtkit.host.hugepages import read_pools
from virtkit.host.keeping import Keeping
from virtkit.host.kernel import Kernel
from virtkit.host.numa import read_nodes
from virtkit.host.registry import setting
from virtkit.host.tuning import set_knobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.host.holders import Holder

KNOBS = {2 * MIB: "hugepages.2M", GIB: "hugepages.1G"}

_FREE = "give unused huge pages back"


class Pool(NamedTuple):
    """Of one size on one node. Counts are pages."""

    node: int
    size: int  # bytes of a page
    total: int
    free: int
    at_boot: int | None  # what some file will set at the next boot; None: no file does
    holders: tuple[Holder, ...]

    @property
    def in_use(self) -> int:
        return self.total - self.free


def read(system: System) -> tuple[Pool, ...]:
    """Every size on every node, empty ones too."""
    kernel = Kernel(system)
    holders, keeping = read_holders(kernel), Keeping(kernel)
    return tuple(
        Pool(node.number, pool.size, pool.total, pool.free or 0, _at_boot(keeping, pool.size, node.number), who)
        for node in read_nodes(kernel, frozenset())
        for pool in node.hugepages
        for who in [tuple(holder for holder in holders if holder.pages(node.number, pool.size))]
    )


def reserved(system: System) -> dict[int, int]:
    """By size, for the whole host: pages that are promised to a process, and still count as free."""
    pools = read_pools(Kernel(system), "/sys/kernel/mm/hugepages")
    return {pool.size: pool.reserved or 0 for pool in pools}


def set_aside(
    system: System, size: int, count: int, node: int | None, *, run_time: bool = True, persistent: bool = True
) -> Plan:
    """``count`` pages in all on that node, the only one where there is one.

    UsageError where it has to be named or has fewer than are in use; NotSupportedError beyond what it can spare. The
    kernel may give fewer still: that is noticed when the plan runs, and put back.
    """
    pool = _chosen(read(system), size, node)
    if count < pool.in_use and run_time:
        users = ", ".join(holder.name for holder in pool.holders) or "a process"
        used = f"{pool.in_use} pages of {format_size(size)} are in use by {users}"
        raise UsageError(f"node {pool.node}: {used}, expected at most {count}", hint="virtkit host hugepages")
    plan = set_knobs(system, {_knob(pool): str(count)}, run_time=run_time, persistent=persistent)
    title = f"huge pages of node {pool.node}: {count} of {format_size(size)}"
    return replace(plan, title=title, notes=(*_told(pool, count), *plan.notes) if plan else ())


def give_back(system: System, node: int | None = None) -> Plan:
    """All that nobody uses or was promised: of that node, or of all. Kept over restarts where the pools are."""
    promised = reserved(system)
    now: dict[str, str] = {}
    kept: dict[str, str] = {}
    for pool in read(system):
        left = min(promised.get(pool.size, 0), pool.free)
        promised[pool.size] = promised.get(pool.size, 0) - left
        if pool.free > left and node in {None, pool.node} and pool.size in KNOBS:
            (now if pool.at_boot is None else kept)[_knob(pool)] = str(pool.in_use + left)
    plans = [set_knobs(system, now, persistent=False)] if now else []
    plans += [set_knobs(system, kept)] if kept else []
    actions = tuple(action for plan in plans for action in plan.actions)
    return Plan(_FREE, actions, tuple(note for plan in plans for note in plan.notes))


def _chosen(pools: tuple[Pool, ...], size: int, node: int | None) -> Pool:
    nodes = sorted({pool.node for pool in pools})
    if node is None and len(nodes) > 1:
        raise UsageError(
            f"this host has nodes {', '.join(map(str, nodes))}: pages are set aside on one of them", hint="--node 0"
        )
    found = [pool for pool in pools if pool.size == size and node in {None, pool.node}]
    if node is not None and node not in nodes:
        raise UsageError(f"node is {node}, expected one of {', '.join(map(str, nodes))}", hint="virtkit host topology")
    if not found or size not in KNOBS:
        sizes = ", ".join(sorted({format_size(pool.size) for pool in pools if pool.size in KNOBS}))
        raise NotSupportedError(f"huge pages: size is {format_size(size)}, this host has {sizes or 'none'}")
    return found[0]


def _knob(pool: Pool) -> str:
    return f"{KNOBS[pool.size]}@{pool.node}"


def _told(pool: Pool, count: int) -> Iterator[str]:
    if count > pool.total:
        more = format_size((count - pool.total) * pool.size)
        yield (
            f"{more} of node {pool.node} go to machines whose XML asks for huge pages, and to nobody else, whether they"
            " use them or not; the kernel may find fewer: then all is put back, and the figure said"
        )
    if pool.size == GIB and count:
        yield (
            "at boot this is done early, but 1 GiB in one piece may be gone by then: if fewer come, put"
            f" hugepagesz=1G hugepages={pool.node}:{count} on the kernel's command line"
        )


def _at_boot(keeping: Keeping, size: int, node: int) -> int | None:
    kept = keeping.winner(setting(f"{KNOBS[size]}@{node}")) if size in KNOBS else None
    return int(kept.value) if kept and kept.value.isdecimal() else None
