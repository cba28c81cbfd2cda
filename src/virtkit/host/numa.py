"""NUMA nodes: which CPUs are near which memory (Documentation/admin-guide/mm/numaperf.rst)."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virtkit.host.hugepages import HugePages, read_pools

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.kernel import Kernel

_NODES = "/sys/devices/system/node"


@dataclass(frozen=True)
class Node:
    number: int
    cpus: CpuSet  # online; empty for a node of memory alone (CXL, NVM, GPU)
    near: CpuSet  # cpus; of a node without any: the CPUs to which it is nearest
    memory: int | None  # bytes
    free: int | None  # bytes
    distances: Mapping[int, int]  # node -> distance, 10 is local
    hugepages: tuple[HugePages, ...]


def read_nodes(kernel: Kernel, cpus: CpuSet) -> tuple[Node, ...]:
    """By number. One node of all CPUs where the kernel knows none, or where its nodes contradict each other."""
    nodes = _read_all(kernel, cpus)
    if overlap := _shared_cpus(nodes):
        kernel.doubts.append(f"{_NODES}: CPU {min(overlap)} is in more than one node, expected one; nodes are ignored")
        nodes = {}
    if not nodes:
        memory = kernel.fields("/proc/meminfo")
        pools = read_pools(kernel, "/sys/kernel/mm/hugepages")
        return (Node(0, cpus, cpus, memory.get("MemTotal"), memory.get("MemFree"), {0: 10}, pools),)
    return tuple(node if node.cpus else replace(node, near=_nearest(kernel, node, nodes)) for node in nodes.values())


def _read_all(kernel: Kernel, cpus: CpuSet) -> dict[int, Node]:
    found = (re.fullmatch(r"node(\d{1,5})", name) for name in kernel.names(_NODES))
    numbers = sorted(int(name[1]) for name in found if name)
    online = kernel.cpu_list(f"{_NODES}/online") or frozenset(numbers)
    numbers = [number for number in numbers if number in online]
    return {number: _read(kernel, number, numbers, cpus) for number in numbers}


def _read(kernel: Kernel, number: int, numbers: list[int], cpus: CpuSet) -> Node:
    folder = f"{_NODES}/node{number}"
    own = (kernel.cpu_mask(f"{folder}/cpumap") or frozenset()) & cpus
    memory = kernel.fields(f"{folder}/meminfo")
    pools = read_pools(kernel, f"{folder}/hugepages")
    distances = _distances(kernel, f"{folder}/distance", numbers)
    return Node(number, own, own, memory.get("MemTotal"), memory.get("MemFree"), distances, pools)


def _distances(kernel: Kernel, path: str, numbers: list[int]) -> dict[int, int]:
    """One number for each online node, in the order of their numbers."""
    text = kernel.text(path) or ""
    words = text.split()
    if len(words) != len(numbers) or not all(re.fullmatch(r"\d{1,3}", word, re.ASCII) for word in words):
        if text:
            kernel.doubt(path, text, f"{len(numbers)} numbers")
        return {}
    return dict(zip(numbers, map(int, words), strict=True))


def _shared_cpus(nodes: Mapping[int, Node]) -> CpuSet:
    """CPUs that more than one node claims: firmware has been seen to give all of them to every node."""
    seen: set[int] = set()
    shared: set[int] = set()
    for node in nodes.values():
        shared |= seen & node.cpus
        seen |= node.cpus
    return frozenset(shared)


def _nearest(kernel: Kernel, node: Node, nodes: Mapping[int, Node]) -> CpuSet:
    """Who starts accesses to it, as the firmware says (access0: anybody, access1: CPUs), else by distance."""
    for access in ("access0", "access1"):
        names = kernel.names(f"{_NODES}/node{node.number}/{access}/initiators")
        initiators = [other for number, other in nodes.items() if f"node{number}" in names]
        if near := _union(initiators):
            return near
    others = {number: distance for number, distance in node.distances.items() if nodes[number].cpus}
    least = min(others.values(), default=0)
    return _union([nodes[number] for number, distance in others.items() if distance == least])


def _union(nodes: list[Node]) -> CpuSet:
    return frozenset().union(*(node.cpus for node in nodes))
