from __future__ import annotations

import re

import pytest

from host.trees import machine
from virtkit.core.cpuset import CpuSet, parse_list
from virtkit.host.drawing import draw
from virtkit.host.kernel import Kernel
from virtkit.host.numa import Node
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
    assert draw(SMALL) == [
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
    assert draw(one_package)[:3] == ["package 0", "  node 0  16 GiB: [0 1] [2 3]", "  node 1  16 GiB: [4 5] [6 7]"]


def test_a_host_without_any_group_still_shows_its_cores() -> None:
    bare = Topology(_set("0-1"), _set("0-1"), (), (), (_set("0"), _set("1")), (), ())
    assert draw(bare) == ["cores: [0] [1]"]


@pytest.mark.parametrize(
    "name", ["16em64t-4s2c2t", "fakeheteromemtiers", "offline-cpu0-node0", "nvidia-dgx-gb10", "20s390-2g6s4c"]
)
def test_every_cpu_of_a_small_machine_is_drawn_once(name: str) -> None:
    with machine(name) as system:
        topology = read_topology(Kernel(system))
    drawn = [int(cpu) for core in re.findall(r"\[([\d ]+)\]", "\n".join(draw(topology))) for cpu in core.split()]
    assert sorted(drawn) == sorted(topology.cpus)


@pytest.mark.parametrize("name", ["96em64t-4no4pa3ca2co", "40intel64-4n10c+pci-conflicts"])
def test_a_large_machine_is_counted_and_no_cpu_twice(name: str) -> None:
    with machine(name) as system:
        topology = read_topology(Kernel(system))
    counted = re.findall(r"(\d+) cores?, CPUs (\S+)", "\n".join(draw(topology)))
    assert sum(int(cores) for cores, _ in counted) == len(topology.cores)
    assert sorted(cpu for _, cpus in counted for cpu in parse_list(cpus)) == sorted(topology.cpus)
