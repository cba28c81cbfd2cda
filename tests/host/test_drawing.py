from __future__ import annotations

import re

import pytest

from host.shapes import Shape, topology
from host.trees import machine
from virtkit.core.cpuset import CpuSet, parse_list
from virtkit.host.drawing import WIDTH, Scene, draw
from virtkit.host.kernel import Kernel
from virtkit.host.numa import Node
from virtkit.host.pci import PciDevice
from virtkit.host.topology import Cache, Topology, read_topology


def _set(text: str) -> CpuSet:
    return parse_list(text)


def _node(number: int, cpus: str, near: str = "") -> Node:
    return Node(number, _set(cpus), _set(near or cpus), 16 << 30, None, {}, ())


SMALL = Topology(
    present=_set("0-7"),
    cpus=_set("0-7"),
    packages=(_set("0-3"), _set("4-7")),
    dies=(),
    cores=(_set("0-1"), _set("2-3"), _set("4-5"), _set("6-7")),
    caches=(Cache(3, "unified", 32 << 20, _set("0-3")), Cache(3, "unified", None, _set("4-7"))),
    nodes=(_node(0, "0-3"), _node(1, "4-7"), _node(2, "", "4-7"), _node(3, "")),
)


def test_draws_what_is_inside_what_on_a_small_host() -> None:
    assert draw(Scene(SMALL)) == [
        "node 0  16 GiB",
        "  package 0",
        "    L3 32 MiB: [0 1] [2 3]",
        "node 1  16 GiB",
        "  package 1",
        "    L3: [4 5] [6 7]",
        "node 2  16 GiB  memory only, nearest to CPUs 4-7",
        "node 3  16 GiB  memory only, as near to every CPU",
    ]


def test_draws_nodes_inside_the_package_that_holds_them() -> None:
    one_package = SMALL.__class__(**{**vars(SMALL), "packages": (_set("0-7"),), "caches": ()})
    assert draw(Scene(one_package))[:3] == [
        "package 0",
        "  node 0  16 GiB: [0 1] [2 3]",
        "  node 1  16 GiB: [4 5] [6 7]",
    ]


def test_a_host_without_any_group_still_shows_its_cores() -> None:
    bare = Topology(_set("0-1"), _set("0-1"), (), (), (_set("0"), _set("1")), (), ())
    assert draw(Scene(bare)) == ["cores: [0] [1]"]


@pytest.mark.parametrize(
    "name", ["16em64t-4s2c2t", "fakeheteromemtiers", "offline-cpu0-node0", "nvidia-dgx-gb10", "20s390-2g6s4c"]
)
def test_every_cpu_of_a_small_machine_is_drawn_once(name: str) -> None:
    with machine(name) as system:
        found = read_topology(Kernel(system))
    drawn = [int(cpu) for core in re.findall(r"\[([\d ]+)\]", "\n".join(draw(Scene(found)))) for cpu in core.split()]
    assert sorted(drawn) == sorted(found.cpus)


@pytest.mark.parametrize("name", ["96em64t-4no4pa3ca2co", "40intel64-4n10c+pci-conflicts"])
def test_a_large_machine_is_counted_and_no_cpu_twice(name: str) -> None:
    with machine(name) as system:
        found = read_topology(Kernel(system))
    drawn = draw(Scene(found))
    counted = re.findall(r"(\d+) cores?, CPUs (\S+)", "\n".join(drawn))
    assert sum(int(cores) for cores, _ in counted) == len(found.cores)
    assert sorted(cpu for _, cpus in counted for cpu in parse_list(cpus)) == sorted(found.cpus)


def test_machines_are_painted_on_the_cpus_of_a_small_host() -> None:
    drawn = draw(Scene(SMALL, {0: "a", 1: "a", 4: "~"}))
    assert drawn[2] == "    L3 32 MiB: [0a 1a] [2 3]"
    assert drawn[5] == "    L3: [4~ 5] [6 7]"


def test_of_a_large_host_the_caches_that_nobody_uses_are_one_line_and_80_columns_hold_all() -> None:
    large = topology(Shape(2, 1, 16, 8, 2))  # 512 CPUs
    drawn = draw(Scene(large, dict.fromkeys([*range(8), *range(256, 264)], "a")))
    assert drawn[2] == "    L3 16 MiB: 8 cores, CPUs 0-7,256-263 aa aa aa aa aa aa aa aa"
    assert drawn[3] == "    15 x L3 16 MiB: 120 cores, CPUs 8-127,264-383"
    assert len(drawn) == 7
    busy = draw(Scene(large, dict.fromkeys(large.cpus, "b")))
    assert max(map(len, busy)) <= WIDTH
    assert "".join(busy).count("bb") == 256


def test_devices_that_machines_care_for_stand_with_their_node() -> None:
    card = PciDevice("0000:3b:00.0", 0x020000, 0x8086, 0x10FB, "ixgbe", 1, 41, None, None)
    bridge, lost = card._replace(class_code=0x060400), card._replace(address="0000:01:00.0", numa_node=None)
    function = card._replace(physical_function=card.address)
    assert draw(Scene(SMALL, {}, (card, bridge, lost, function)))[-4:] == [
        "devices at node 1:",
        "  0000:3b:00.0 network (ixgbe)",
        "devices at no node that the firmware tells:",
        "  0000:01:00.0 network (ixgbe)",
    ]
