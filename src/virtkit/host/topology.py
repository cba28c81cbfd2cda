"""The host's CPUs: packages, dies, caches, cores, NUMA nodes.

Grouped by masks, never by ids: ``core_id`` repeats in each package and ``physical_package_id`` may be -1
(Documentation/ABI/stable/sysfs-devices-system-cpu).
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import format_list
from virtkit.core.errors import UsageError
from virtkit.core.units import parse_size
from virtkit.host.numa import Node, read_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.kernel import Kernel

_CPUS = "/sys/devices/system/cpu"
_PACKAGE = ("package_cpus", "core_siblings")


class Cache(NamedTuple):
    level: int
    kind: str  # unified, data or instruction
    size: int | None  # bytes
    cpus: CpuSet


@dataclass(frozen=True)
class Topology:
    """Online CPUs only. Every tuple is ordered by its lowest CPU; nodes by their number."""

    present: CpuSet  # with those that are offline
    cpus: CpuSet
    packages: tuple[CpuSet, ...]
    dies: tuple[CpuSet, ...]  # none where a package is one die
    cores: tuple[CpuSet, ...]
    caches: tuple[Cache, ...]
    nodes: tuple[Node, ...]

    @property
    def last_level_caches(self) -> tuple[Cache, ...]:
        """For each CPU the cache of the highest level that it has."""
        data = [cache for cache in self.caches if cache.kind != "instruction"]
        highest: dict[int, int] = {}
        for cache in data:
            highest.update({cpu: max(cache.level, highest.get(cpu, 0)) for cpu in cache.cpus})
        return tuple(cache for cache in data if any(highest[cpu] == cache.level for cpu in cache.cpus))

    @property
    def threads_per_core(self) -> int:
        """The most of any core: hybrid CPUs mix cores of one and of two threads."""
        return max((len(core) for core in self.cores), default=0)


def read_topology(kernel: Kernel) -> Topology:
    present = _present(kernel)
    cpus = _online(kernel, present)
    packages = _partition(kernel, "packages", {cpu: _siblings(kernel, cpu, cpus, *_PACKAGE) for cpu in cpus})
    cores = _partition(kernel, "cores", {cpu: _core(kernel, cpu, cpus) for cpu in cpus})
    return Topology(
        present=present,
        cpus=cpus,
        packages=packages,
        dies=_dies(kernel, cpus, {*packages, *cores}),
        cores=cores,
        caches=_caches(kernel, cpus),
        nodes=read_nodes(kernel, cpus),
    )


def _present(kernel: Kernel) -> CpuSet:
    names = (re.fullmatch(r"cpu(\d{1,5})", name, re.ASCII) for name in kernel.names(_CPUS))
    return frozenset(int(name[1]) for name in names if name)


def _online(kernel: Kernel, present: CpuSet) -> CpuSet:
    """A CPU without an ``online`` file cannot be unplugged; ia64 kernels show an empty one."""
    listed = kernel.cpu_list(f"{_CPUS}/online")
    candidates = present & listed if listed else present
    return frozenset(cpu for cpu in candidates if kernel.text(f"{_CPUS}/cpu{cpu}/online") != "0")


def _partition(kernel: Kernel, what: str, claims: Mapping[int, CpuSet]) -> tuple[CpuSet, ...]:
    """Groups without overlap, out of what each CPU says about its own.

    Where they contradict each other, the group that more CPUs name is right; the others keep what is left of theirs.
    """
    taken: set[int] = set()
    groups = []
    for group, _ in sorted(Counter(claims.values()).items(), key=lambda item: (-item[1], sorted(item[0]))):
        if taken & group:
            kernel.doubts.append(f"{_CPUS}: {what} {format_list(group)} is crossed by another, expected no overlap")
        if rest := group - taken:
            groups.append(rest)
        taken |= group
    return tuple(sorted(groups, key=sorted))


def _siblings(kernel: Kernel, cpu: int, cpus: CpuSet, *names: str) -> CpuSet:
    """The online CPUs in the first of the masks that the kernel has (the later names are the older ones)."""
    masks = (kernel.cpu_mask(f"{_CPUS}/cpu{cpu}/topology/{name}") for name in names)
    return next((mask & cpus for mask in masks if mask), frozenset())


def _core(kernel: Kernel, cpu: int, cpus: CpuSet) -> CpuSet:
    """Siblings with another ``core_id`` are cores that share a module (AMD family 15h), not threads of one core."""
    siblings = _siblings(kernel, cpu, cpus, "core_cpus", "thread_siblings") | {cpu}
    if len(siblings) == 1:
        return siblings
    ids = {sibling: kernel.number(f"{_CPUS}/cpu{sibling}/topology/core_id") for sibling in siblings}
    return frozenset(sibling for sibling in siblings if ids[sibling] == ids[cpu])


def _dies(kernel: Kernel, cpus: CpuSet, others: set[CpuSet]) -> tuple[CpuSet, ...]:
    """Where an architecture has no dies, its kernel says that each CPU is one (include/linux/topology.h)."""
    dies = _partition(kernel, "dies", {cpu: _siblings(kernel, cpu, cpus, "die_cpus") for cpu in cpus})
    return tuple(die for die in dies if len(die) > 1 and die not in others)


def _caches(kernel: Kernel, cpus: CpuSet) -> tuple[Cache, ...]:
    claims: defaultdict[tuple[int, str], dict[int, Cache]] = defaultdict(dict)
    for cpu in cpus:
        folder = f"{_CPUS}/cpu{cpu}/cache"
        for index in kernel.names(folder):
            cache = _cache(kernel, f"{folder}/{index}", cpu, cpus) if index.startswith("index") else None
            if cache:
                claims[cache.level, cache.kind][cpu] = cache
    return tuple(cache for key in sorted(claims) for cache in _one_kind(kernel, claims[key]))


def _one_kind(kernel: Kernel, claims: Mapping[int, Cache]) -> Iterator[Cache]:
    """The caches of one level and kind, out of what each CPU says about its own."""
    level, kind = next((cache.level, cache.kind) for cache in claims.values())
    groups = _partition(kernel, f"L{level} {kind} caches", {cpu: cache.cpus for cpu, cache in claims.items()})
    for group in groups:
        sizes = [claims[cpu].size for cpu in sorted(group) if cpu in claims]
        yield Cache(level, kind, sizes[0] if sizes else None, group)


def _cache(kernel: Kernel, folder: str, cpu: int, cpus: CpuSet) -> Cache | None:
    level, kind = kernel.number(f"{folder}/level"), kernel.text(f"{folder}/type")
    if level is None or not kind:
        return None
    shared = (kernel.cpu_mask(f"{folder}/shared_cpu_map") or frozenset()) & cpus | {cpu}
    return Cache(level, kind.lower(), _size(kernel, f"{folder}/size"), shared)


def _size(kernel: Kernel, path: str) -> int | None:
    text = kernel.text(path)
    try:
        return parse_size(text) if text else None
    except UsageError as error:
        kernel.doubts.append(f"{path}: {error.message}")
        return None
