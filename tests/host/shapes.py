"""Hosts made up by their numbers. CPUs are numbered as on x86: first one thread of each core, then the others."""

from __future__ import annotations

from typing import NamedTuple

from virtkit.core.units import GIB, MIB
from virtkit.host.hugepages import HugePages
from virtkit.host.numa import Node
from virtkit.host.topology import Cache, Topology


class Shape(NamedTuple):
    packages: int
    nodes: int  # of each package
    caches: int  # last-level ones of each node
    cores: int  # of each cache
    threads: int  # of each core
    memory: int = 64 * GIB  # of each node
    huge: int = 0  # pages of 2 MiB of each node


EPYC = {  # as AMD documents them, NPS as the firmware was set: dies are nodes in the 7451
    "EPYC 7451": Shape(2, 4, 2, 3, 2),
    "EPYC 7763, NPS1": Shape(2, 1, 8, 8, 2),
    "EPYC 7763, NPS4": Shape(2, 4, 2, 8, 2),
    "EPYC 9654, NPS1": Shape(2, 1, 12, 8, 2, 256 * GIB),
}


def topology(shape: Shape) -> Topology:
    whole = shape.packages * shape.nodes * shape.caches * shape.cores
    cores = [frozenset(core + whole * thread for thread in range(shape.threads)) for core in range(whole)]

    def runs(size: int) -> list[frozenset[int]]:
        return [frozenset[int]().union(*cores[at : at + size]) for at in range(0, whole, size)]

    of_node = shape.caches * shape.cores
    cpus = frozenset[int]().union(*cores)
    return Topology(
        present=cpus,
        cpus=cpus,
        packages=tuple(runs(of_node * shape.nodes)),
        dies=(),
        cores=tuple(cores),
        caches=tuple(Cache(3, "unified", 16 * MIB, group) for group in runs(shape.cores)),
        nodes=tuple(_node(shape, number, own) for number, own in enumerate(runs(of_node))),
    )


def _node(shape: Shape, number: int, cpus: frozenset[int]) -> Node:
    def distance(other: int) -> int:
        return 10 if other == number else 12 if other // shape.nodes == number // shape.nodes else 32

    count = shape.packages * shape.nodes
    pools = (HugePages(2 * MIB, shape.huge, shape.huge, None),)
    return Node(number, cpus, cpus, shape.memory, None, {other: distance(other) for other in range(count)}, pools)
