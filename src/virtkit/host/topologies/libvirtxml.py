"""libvirt's capabilities (``virsh capabilities``): https://libvirt.org/formatcaps.html."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.units import KIB
from virtkit.host.hugepages import HugePages
from virtkit.host.numa import Node
from virtkit.host.topologies.document import listed, number, whole
from virtkit.host.topology import Cache, Topology

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.cpuset import CpuSet
    from virtkit.host.topologies.document import Element

_UNITS = {"b": 1, "bytes": 1, "KiB": KIB, "MiB": KIB**2, "GiB": KIB**3, "TiB": KIB**4}
_KINDS = {"both": "unified", "data": "data", "code": "instruction"}


def read(root: Element) -> Topology:
    """UsageError where it has no cells. Only caches of the highest level are told there."""
    cells = root.findall("host/topology/cells/cell")
    if not cells:
        raise UsageError("XML: capabilities have no host/topology/cells, expected one cell at least")
    listed_cpus = [cpu for cell in cells for cpu in cell.findall("cpus/cpu")]
    cpus = frozenset(_need(cpu, "id") for cpu in listed_cpus)
    packages, dies = _together(listed_cpus, "socket_id"), _together(listed_cpus, "socket_id", "die_id")
    cores = {listed(cpu.get("siblings", "")) & cpus or frozenset({_need(cpu, "id")}) for cpu in listed_cpus}
    return Topology(
        present=cpus,
        cpus=cpus,
        packages=packages,
        dies=dies if len(dies) > len(packages) and not set(dies) & cores else (),
        cores=tuple(sorted(cores, key=min)),
        caches=tuple(_caches(root, cpus)),
        nodes=tuple(sorted(map(_node, cells), key=lambda node: node.number)),
    )


def _together(cpus: list[Element], *names: str) -> tuple[CpuSet, ...]:
    groups: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for cpu in cpus:
        groups[tuple(cpu.get(name, "") for name in names)].add(_need(cpu, "id"))
    return tuple(sorted(map(frozenset, groups.values()), key=min))


def _need(node: Element, name: str) -> int:
    found = number(node, name)
    if found is None:
        raise UsageError(f"XML: {node.tag} has no {name}, expected a number")
    return found


def _caches(root: Element, cpus: CpuSet) -> Iterator[Cache]:
    for bank in root.findall("host/cache/bank"):
        if own := listed(bank.get("cpus", "")) & cpus:
            size = _need(bank, "size") * _unit(bank)
            yield Cache(_need(bank, "level"), _KINDS.get(bank.get("type", ""), "unified"), size, own)


def _node(cell: Element) -> Node:
    memory = cell.find("memory")
    cpus = frozenset(_need(cpu, "id") for cpu in cell.findall("cpus/cpu"))
    pages = sorted(
        (_need(page, "size") * _unit(page), whole(page.text or "", "pages")) for page in cell.findall("pages")
    )
    return Node(
        number=_need(cell, "id"),
        cpus=cpus,
        near=cpus,
        memory=None if memory is None else whole(memory.text or "", "memory") * _unit(memory),
        free=None,
        distances={_need(one, "id"): _need(one, "value") for one in cell.findall("distances/sibling")},
        hugepages=tuple(HugePages(size, count, None, None) for size, count in pages[1:]),
    )


def _unit(node: Element) -> int:
    unit = node.get("unit", "KiB")
    if unit not in _UNITS:
        raise UsageError(f"XML: unit of {node.tag} is {unit[:20]!r}, expected one of {', '.join(_UNITS)}")
    return _UNITS[unit]
