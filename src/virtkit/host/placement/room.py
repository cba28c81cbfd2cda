"""The host as the planner sees it: nodes with memory, and groups of cores that no plan can tell apart."""

from __future__ import annotations

import sys
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.numa import Node
    from virtkit.host.topology import Topology

UNLIMITED = sys.maxsize  # of a node whose memory the kernel does not tell
RESERVE = 20  # one part in so many of a node's memory is the host's own: kernel, daemons, QEMU beside the guests
RATIO = 4  # shared vCPUs for each CPU on which they float


class Taken(NamedTuple):
    """What machines that stay where they are have already."""

    cpus: CpuSet = frozenset()  # pinned for one machine alone
    memory: Mapping[int, int] = {}  # bytes of ordinary memory by node
    pages: Mapping[tuple[int, int], int] = {}  # by node and size of a page
    vcpus: Mapping[int, int] = {}  # that float, by node


class Place(NamedTuple):
    """A node with CPUs. Nodes of memory alone (CXL, GPUs) are never chosen by a plan."""

    number: int
    cpus: CpuSet  # that machines may use
    packages: CpuSet
    housekeeping: CpuSet  # for the host and the emulators: no machine's own
    memory: int  # bytes for machines with ordinary memory
    pools: Mapping[int, int]  # huge pages by their size
    distances: Mapping[int, int]
    floating: int  # vCPUs of machines that stay as they are

    def distance(self, other: Place) -> int:
        """10 is local; nodes of which the firmware says nothing are two hops apart (include/linux/topology.h)."""
        return self.distances.get(other.number, 10 if other.number == self.number else 20)


class Group(NamedTuple):
    """Free cores of one node, one last-level cache and one number of threads."""

    node: int  # index in Room.nodes
    package: int
    cache: int
    width: int  # threads of each core
    cores: tuple[CpuSet, ...]


class Room(NamedTuple):
    nodes: tuple[Place, ...]
    groups: tuple[Group, ...]
    ratio: int

    @property
    def widths(self) -> list[int]:
        """Threads that a core may have, most first."""
        return sorted({group.width for group in self.groups}, reverse=True)

    def packages(self, nodes: tuple[int, ...]) -> int:
        return len({min(self.nodes[node].packages, default=-1) for node in nodes})


def make_room(
    topology: Topology,
    *,
    usable: CpuSet | None = None,
    housekeeping: CpuSet | None = None,
    taken: Taken = Taken(),  # noqa: B008  immutable
    ratio: int = RATIO,
) -> Room:
    """``usable``: CPUs that machines may have at all. ``housekeeping``: by default the first core of each node."""
    cpus = topology.cpus if usable is None else topology.cpus & usable
    nodes = [node for node in topology.nodes if node.cpus & cpus]
    kept = _first_cores(topology, nodes, cpus) if housekeeping is None else housekeeping & cpus
    places = tuple(_place(topology, node, cpus, kept, taken) for node in nodes)
    return Room(places, tuple(_groups(topology, places, cpus - kept - taken.cpus)), ratio)


def _first_cores(topology: Topology, nodes: list[Node], cpus: CpuSet) -> CpuSet:
    """The core with the lowest CPU: interrupts and daemons mostly are there."""
    firsts = (min((core & cpus for core in topology.cores if core & cpus & node.cpus), key=min) for node in nodes)
    return frozenset[int]().union(*firsts)


def _place(topology: Topology, node: Node, cpus: CpuSet, kept: CpuSet, taken: Taken) -> Place:
    pools = {pool.size: pool.total - taken.pages.get((node.number, pool.size), 0) for pool in node.hugepages}
    aside = sum(pool.size * pool.total for pool in node.hugepages)
    memory = UNLIMITED
    if node.memory is not None:
        memory = node.memory - node.memory // RESERVE - aside - taken.memory.get(node.number, 0)
    packages = frozenset(at for at, package in enumerate(topology.packages) if package & node.cpus)
    own, floating = node.cpus & cpus, taken.vcpus.get(node.number, 0)
    free = own - taken.cpus
    return Place(node.number, free, packages, own & kept, max(memory, 0), pools, node.distances, floating)


def _groups(topology: Topology, places: tuple[Place, ...], free: CpuSet) -> Iterator[Group]:
    """Only whole cores: of a core that is used in part, nothing is given."""
    package = _numbered(topology.packages, topology)
    cache = _numbered((one.cpus for one in topology.last_level_caches), topology)
    alike: defaultdict[tuple[int, int, int, int], list[CpuSet]] = defaultdict(list)
    for index, place in enumerate(places):
        for core in topology.cores:
            if core <= place.cpus & free:
                first = min(core)
                key = (index, package.get(first, -1), cache.get(first, -1 - index), len(core))
                alike[key].append(core)
    for (node, of_package, of_cache, width), cores in sorted(alike.items()):
        yield Group(node, of_package, of_cache, width, tuple(sorted(cores, key=min)))


def _numbered(parts: Iterable[CpuSet], topology: Topology) -> dict[int, int]:
    """By CPU the number of its part; a part of one core (a cache that each has for itself) is none."""
    cores = set(topology.cores)
    return {cpu: at for at, part in enumerate(parts) if part not in cores for cpu in part}
