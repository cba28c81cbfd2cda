"""hwloc's XML of versions 2 and 3 (``lstopo host.xml``): https://hwloc.readthedocs.io, "Importing and exporting"."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.host.hugepages import HugePages
from virtkit.host.numa import Node
from virtkit.host.topologies.document import mask, number, whole
from virtkit.host.topology import Cache, Topology

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.topologies.document import Element

_CACHE = re.compile(r"L([1-5])(i?)Cache")
_KINDS = ("unified", "data", "instruction")  # hwloc_obj_cache_type_e


def read(root: Element) -> Topology:
    """UsageError for hwloc 1, whose nodes hold what is inside them, and for what is in no version."""
    if not (root.get("version") or "").startswith(("2.", "3.")):
        raise UsageError(f"XML: version of hwloc's format is {root.get('version')}, expected 2 or 3")
    objects = list(root.iter("object"))
    cpus = frozenset(index for one in _of(objects, "PU") if (index := number(one, "os_index")) is not None)
    cores = [own for one in _of(objects, "Core") if (own := _cpus(one) & cpus)]
    inside = frozenset[int]().union(*cores)
    machine = next(_of(objects, "Machine"), None)
    return Topology(
        present=cpus if machine is None else cpus | mask(machine.get("complete_cpuset", "")),
        cpus=cpus,
        packages=_ordered(_cpus(one) & cpus for one in _of(objects, "Package")),
        dies=_ordered(_cpus(one) & cpus for one in _of(objects, "Die")),
        cores=_ordered([*cores, *(frozenset({cpu}) for cpu in cpus - inside)]),
        caches=tuple(sorted(_caches(objects, cpus), key=lambda one: (one.level, one.kind, min(one.cpus)))),
        nodes=tuple(_nodes(root, objects, cpus)),
    )


def _of(objects: Sequence[Element], kind: str) -> Iterator[Element]:
    return (one for one in objects if one.get("type") == kind)


def _cpus(one: Element) -> CpuSet:
    return mask(one.get("cpuset", ""))


def _ordered(groups: Iterator[CpuSet] | list[CpuSet]) -> tuple[CpuSet, ...]:
    return tuple(sorted((group for group in groups if group), key=min))


def _caches(objects: Sequence[Element], cpus: CpuSet) -> Iterator[Cache]:
    for one in objects:
        found, own = _CACHE.fullmatch(one.get("type", "")), _cpus(one) & cpus
        if found and own:
            kind = number(one, "cache_type") or 0
            size = number(one, "cache_size")
            yield Cache(int(found[1]), _KINDS[min(kind, 2)], size or None, own)


def _nodes(root: Element, objects: Sequence[Element], cpus: CpuSet) -> Iterator[Node]:
    """Several nodes may be near the same CPUs: they are the first one's, the others have memory alone."""
    found = {index: one for one in _of(objects, "NUMANode") if (index := number(one, "os_index")) is not None}
    distances, owned = _distances(root, sorted(found)), set[int]()
    for index, one in sorted(found.items()):
        near = _cpus(one) & cpus
        own = near if not near & owned else frozenset[int]()
        owned |= own
        yield Node(index, own, near, number(one, "local_memory"), None, distances.get(index, {}), _pools(one))


def _pools(one: Element) -> tuple[HugePages, ...]:
    """The smallest page is no huge one. How many are free, hwloc does not say."""
    pages = sorted((number(page, "size") or 0, number(page, "count") or 0) for page in one.findall("page_type"))
    return tuple(HugePages(size, count, None, None) for size, count in pages[1:])


def _distances(root: Element, nodes: list[int]) -> dict[int, dict[int, int]]:
    """The matrix that the kernel has (``NUMALatency``); its rows go by the nodes' numbers."""
    for matrix in root.iter("distances2"):
        if matrix.get("type") != "NUMANode" or matrix.get("name", "NUMALatency") != "NUMALatency":
            continue
        indexes = [whole(word, "index") for part in matrix.findall("indexes") for word in (part.text or "").split()]
        values = [whole(word, "value") for part in matrix.findall("u64values") for word in (part.text or "").split()]
        if len(values) != len(indexes) ** 2:
            raise UsageError(f"XML: distances2 has {len(values)} values for {len(indexes)} nodes, expected a square")
        if set(indexes) <= set(nodes):
            rows = [values[at : at + len(indexes)] for at in range(0, len(values), max(len(indexes), 1))]
            return {one: dict(zip(indexes, row, strict=True)) for one, row in zip(indexes, rows, strict=True)}
    return {nodes[0]: {nodes[0]: 10}} if len(nodes) == 1 else {}
