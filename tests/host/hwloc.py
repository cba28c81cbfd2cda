"""hwloc's own reading of a machine: the expected output that lies beside each of its trees."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple
from xml.etree import ElementTree as ET

from virtkit.core.cpuset import parse_mask

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from virtkit.core.cpuset import CpuSet

_LINE = re.compile(r"(?P<indent> *)(?P<kind>[A-Z]\w*)(?:\(\w+\))?(?: L#\d+)?(?: \(P#(?P<number>\d+))?")


class Seen(NamedTuple):
    kind: str  # Package, Die, Core, PU, NUMANode, L3Cache ...
    number: int | None  # the kernel's
    cpus: CpuSet
    memory: int | None  # bytes


class Reading:
    def __init__(self, seen: list[Seen]) -> None:
        self.cpus = frozenset(one.number for one in seen if one.kind == "PU" and one.number is not None)
        self._seen = seen

    def sets(self, *kinds: str) -> set[CpuSet]:
        return {one.cpus for one in self._seen if one.kind in kinds} - {frozenset()}

    @property
    def nodes(self) -> dict[int, Seen]:
        return {one.number: one for one in self._seen if one.kind == "NUMANode" and one.number is not None}


def read(path: Path) -> Reading:
    return Reading(list(_xml(path) if path.suffix == ".xml" else _console(path)))


def _xml(path: Path) -> Iterator[Seen]:
    for node in ET.parse(path).getroot().iter("object"):
        number, memory = node.get("os_index"), node.get("local_memory")
        cpus = parse_mask(node.get("cpuset", "0x0").replace("0x", "") or "0")
        yield Seen(node.get("type", ""), int(number) if number else None, cpus, int(memory) if memory else None)


def _console(path: Path) -> Iterator[Seen]:
    """Indented lines: what stands deeper is inside. A node's CPUs are those of the line that it stands below."""
    drawing = path.read_text().partition("depth 0:")[0]
    lines = [found for line in drawing.splitlines() if (found := _LINE.match(line))]
    members: defaultdict[int, set[int]] = defaultdict(set)
    parents: dict[int, int] = {}
    above: list[int] = []
    for index, line in enumerate(lines):
        while above and len(lines[above[-1]]["indent"]) >= len(line["indent"]):
            above.pop()
        parents[index] = above[-1] if above else index
        above.append(index)
        if line["kind"] == "PU":
            for outer in above:
                members[outer].add(int(line["number"]))
    for index, line in enumerate(lines):
        owner = parents[index] if line["kind"] == "NUMANode" else index
        number = int(line["number"]) if line["number"] else None
        yield Seen(line["kind"], number, frozenset(members[owner]), None)
