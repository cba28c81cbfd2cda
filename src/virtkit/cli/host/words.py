"""What several verbs say about the host."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from virtkit.host.topology import Topology

ABSENT = "not available"


def count(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def counts(topology: Topology) -> str:
    threads = topology.threads_per_core
    offline = len(topology.present) - len(topology.cpus)
    parts = (
        f"{len(topology.cpus)} online" + (f", {offline} offline" if offline else ""),
        count(len(topology.packages), "package"),
        count(len(topology.cores), "core"),
        f"{count(threads, 'thread')} per core" if threads else "",
        count(len(topology.nodes), "NUMA node"),
    )
    return ", ".join(part for part in parts if part)
