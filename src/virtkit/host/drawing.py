"""The host's CPUs as indented text: nodes, packages, dies, last-level caches, cores."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import CpuSet, format_list
from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.host.numa import Node
    from virtkit.host.topology import Cache, Topology

SMALL = 32  # CPUs; up to here each core is drawn, above they are counted


class _Box(NamedTuple):
    """One stretch of CPUs with a name. Boxes of the same CPUs stand inside each other in the order of their rank."""

    cpus: CpuSet
    rank: int
    title: str


def draw(topology: Topology) -> list[str]:
    """Lines without an end; ``[0 8]`` is a core and its two threads."""
    boxes = sorted(_boxes(topology), key=lambda box: (-len(box.cpus), box.rank, sorted(box.cpus)))
    memory_only = (_memory_only(node) for node in topology.nodes if not node.cpus)
    return [*_inside(boxes, topology.cpus, topology, depth=0), *memory_only]


def _boxes(topology: Topology) -> Iterator[_Box]:
    for node in topology.nodes:
        if node.cpus:
            yield _Box(node.cpus, 0, f"node {node.number}{_memory(node)}")
    for number, package in enumerate(topology.packages):
        yield _Box(package, 1, f"package {number}")
    for number, die in enumerate(topology.dies):
        yield _Box(die, 2, f"die {number}")
    for cache in topology.last_level_caches:
        yield _Box(cache.cpus, 3, _cache(cache))


def _inside(boxes: Sequence[_Box], cpus: CpuSet, topology: Topology, depth: int) -> Iterator[str]:
    """The boxes within ``cpus``, largest first, then the cores that are in none of them."""
    rest = cpus
    for index, box in enumerate(boxes):
        if box.cpus <= rest:
            cores = [core for core in topology.cores if core <= box.cpus]
            inner = [other for other in boxes[index + 1 :] if other.cpus <= box.cpus]
            within: CpuSet = frozenset().union(*(other.cpus for other in inner))
            bare = [core for core in cores if not core & within]
            yield "  " * depth + box.title + (": " + _cores(bare, topology) if bare else "")
            if inner:
                yield from _inside(inner, within, topology, depth + 1)
            rest -= box.cpus
    loose = [core for core in topology.cores if core <= rest]
    if depth == 0 and loose:
        yield "cores: " + _cores(loose, topology)


def _cores(cores: Sequence[CpuSet], topology: Topology) -> str:
    if len(topology.cpus) <= SMALL:
        return " ".join(f"[{' '.join(map(str, sorted(core)))}]" for core in cores)
    cpus: CpuSet = frozenset().union(*cores)
    return f"{len(cores)} {'core' if len(cores) == 1 else 'cores'}, CPUs {format_list(cpus)}"


def _memory(node: Node) -> str:
    return "" if node.memory is None else f"  {format_size(node.memory)}"


def _memory_only(node: Node) -> str:
    near = f"nearest to CPUs {format_list(node.near)}" if node.near else "as near to every CPU"
    return f"node {node.number}{_memory(node)}  memory only, {near}"


def _cache(cache: Cache) -> str:
    return f"L{cache.level}" + ("" if cache.size is None else f" {format_size(cache.size)}")
