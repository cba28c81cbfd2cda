"""The host's CPUs as indented text: nodes, packages, dies, last-level caches, cores, and who runs on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.cpuset import CpuSet, format_list
from virtkit.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from virtkit.host.numa import Node
    from virtkit.host.pci import PciDevice
    from virtkit.host.topology import Cache, Topology

SMALL = 32  # CPUs; up to here each core is drawn with its numbers, above they are counted
WIDTH = 76  # columns of one line: 80, less what the caller puts in front
FREE = "."  # in place of a mark

_KINDS = ("storage", "network", "display", "accelerator", "encryption")  # of PCI devices that machines care for


class _Box(NamedTuple):
    """One stretch of CPUs with a name. Boxes of the same CPUs stand inside each other in the order of their rank."""

    cpus: CpuSet
    rank: int
    title: str
    kind: str  # boxes of one kind may stand in one line where they are alike


class Scene(NamedTuple):
    topology: Topology
    marks: Mapping[int, str] = {}  # by CPU one character: who runs there
    devices: Sequence[PciDevice] = ()


def draw(scene: Scene) -> list[str]:
    """Lines without an end; ``[0 8]`` is a core and its two threads, ``[0a 8b]`` with machines a and b on them."""
    topology = scene.topology
    boxes = sorted(_boxes(topology), key=lambda box: (-len(box.cpus), box.rank, sorted(box.cpus)))
    memory_only = (_memory_only(node) for node in topology.nodes if not node.cpus)
    return [*_inside(boxes, topology.cpus, scene, depth=0), *memory_only, *_devices(scene)]


def _boxes(topology: Topology) -> Iterator[_Box]:
    for node in topology.nodes:
        if node.cpus:
            yield _Box(node.cpus, 0, f"node {node.number}{_memory(node)}", "")
    for number, package in enumerate(topology.packages):
        yield _Box(package, 1, f"package {number}", "")
    for number, die in enumerate(topology.dies):
        yield _Box(die, 2, f"die {number}", "")
    for cache in topology.last_level_caches:
        yield _Box(cache.cpus, 3, _cache(cache), _cache(cache))


def _inside(boxes: Sequence[_Box], cpus: CpuSet, scene: Scene, depth: int) -> Iterator[str]:
    """The boxes within ``cpus``, largest first, then the cores that are in none of them."""
    rest, done = cpus, 0
    for index, box in enumerate(boxes):
        if index < done or not box.cpus <= rest:
            continue
        alike = _alike(boxes[index:], rest, scene)
        if len(alike) > 1:
            whole: CpuSet = frozenset().union(*(other.cpus for other in alike))
            yield from _line(
                f"{len(alike)} x {box.title}", [c for c in scene.topology.cores if c <= whole], scene, depth
            )
            rest -= whole
            done = index + len(alike)
            continue
        inner = [other for other in boxes[index + 1 :] if other.cpus <= box.cpus]
        within: CpuSet = frozenset().union(*(other.cpus for other in inner))
        yield from _line(box.title, [c for c in scene.topology.cores if c <= box.cpus and not c & within], scene, depth)
        if inner:
            yield from _inside(inner, within, scene, depth + 1)
        rest -= box.cpus
    loose = [core for core in scene.topology.cores if core <= rest]
    if depth == 0 and loose:
        yield from _line("cores", loose, scene, depth)


def _alike(boxes: Sequence[_Box], rest: CpuSet, scene: Scene) -> list[_Box]:
    """On a large host the boxes from the first on that hold cores alone, as many each, on which nobody is marked."""
    if len(scene.topology.cpus) <= SMALL or not boxes[0].kind:
        return [boxes[0]]
    found = []
    for box in boxes:
        bare = not any(other.cpus < box.cpus for other in boxes) and not any(cpu in scene.marks for cpu in box.cpus)
        if box.kind != boxes[0].kind or len(box.cpus) != len(boxes[0].cpus) or not (bare and box.cpus <= rest):
            break
        found.append(box)
    return found or [boxes[0]]


def _line(title: str, cores: Sequence[CpuSet], scene: Scene, depth: int) -> Iterator[str]:
    """The title and its cores; what is too long goes on below, further in."""
    indent = "  " * depth
    if not cores:
        yield indent + title
        return
    small = len(scene.topology.cpus) <= SMALL
    words = [_core(core, scene) for core in cores] if small else _counted(cores, scene)
    line = f"{indent}{title}:"
    for word in words:
        if len(line) + 1 + len(word) > WIDTH:
            yield line
            line = indent + "   "
        line += " " + word
    yield line


def _core(core: CpuSet, scene: Scene) -> str:
    return "[" + " ".join(f"{cpu}{scene.marks.get(cpu, '')}" for cpu in sorted(core)) + "]"


def _counted(cores: Sequence[CpuSet], scene: Scene) -> list[str]:
    cpus: CpuSet = frozenset().union(*cores)
    said = f"{len(cores)} {'core' if len(cores) == 1 else 'cores'}, CPUs {format_list(cpus)}".split()
    if not any(cpu in scene.marks for cpu in cpus):
        return said
    return [*said, *("".join(scene.marks.get(cpu, FREE) for cpu in sorted(core)) for core in cores)]


def _memory(node: Node) -> str:
    pools = "".join(f", {pool.total} pages of {format_size(pool.size)}" for pool in node.hugepages if pool.total)
    return pools if node.memory is None else f"  {format_size(node.memory)}{pools}"


def _memory_only(node: Node) -> str:
    near = f"nearest to CPUs {format_list(node.near)}" if node.near else "as near to every CPU"
    return f"node {node.number}{_memory(node)}  memory only, {near}"


def _cache(cache: Cache) -> str:
    return f"L{cache.level}" + ("" if cache.size is None else f" {format_size(cache.size)}")


def _devices(scene: Scene) -> Iterator[str]:
    """Only such as machines care for, by the node that they are at."""
    shown = [device for device in scene.devices if device.kind in _KINDS and device.physical_function is None]
    for node in sorted({device.numa_node for device in shown}, key=lambda node: (node is None, node)):
        yield f"devices at node {node}:" if node is not None else "devices at no node that the firmware tells:"
        for device in shown:
            if device.numa_node == node:
                driver = f" ({device.driver})" if device.driver else ""
                yield f"  {device.address} {device.kind}{driver}"
