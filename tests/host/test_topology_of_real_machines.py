"""Our reading of real machines against hwloc's, and against lscpu's."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from host import hwloc
from host.trees import machine
from support import others
from virtkit.host.kernel import Kernel
from virtkit.host.topology import Topology, read_topology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.core.cpuset import CpuSet

READINGS = [
    "128arm-2pa2n8cluster4co.console", "16amd64-4n4c-cgroup-distance-merge.console", "16amd64-8n2c.console",
    "16em64t-4s2c2t.console", "16em64t-4s2c2t-xml.xml", "16ia64-8n2s.console", "20s390-2g6s4c.console",
    "256ppc-8n8s4t.console", "2i386-2c-nohugepage.xml", "2pa-pcidomain32bits.console", "32amd64-4s2n4c-cgroup2.xml",
    "4fake-4gr1nu1pu.console", "64fake-4n2s2ca2c2t.console", "8em64t-2s2ca2c.console", "8ia64-2n2s2c.console",
    "96em64t-4no4pa3ca2co.console", "fakecpuid1f-64intel64-2p4d2n2c2t.console", "fakeheteromemtiers.console",
    "fakepcilocalities.xml", "nvidia-dgx-gb10.xml", "offline-cpu0-node0.console",
]  # fmt: skip
PART = {  # machines of which hwloc shows a part only, and why: there its groups are compared within that part
    "16amd64-4n4c-cgroup-distance-merge": "hwloc looks through a cgroup of four CPUs; virtkit reads the host",
    "32amd64-4s2n4c-cgroup2": "hwloc looks through a cgroup of six CPUs; virtkit reads the host",
    "4fake-4gr1nu1pu": "hwloc looks through a cgroup of two CPUs; virtkit reads the host",
}
OTHERS_CACHES = {  # kinds of cache by level as the kernel, and hwloc, name them
    1: ("L1Cache", "L1dCache"), 2: ("L2Cache", "L2dCache"), 3: ("L3Cache",),
}  # fmt: skip
FOR_LSCPU = ["32intel64-2p8co2t+8ve", "128arm-2pa2n8cluster4co", "fakecpuid1f-64intel64-2p4d2n2c2t", "nvidia-dgx-gb10"]


@cache
def _read(name: str) -> Topology:
    with machine(name) as system:
        return read_topology(Kernel(system))


def _name(reading: str) -> str:
    return Path(reading).stem.removesuffix("-xml")


def _pair(reading: str) -> tuple[Topology, hwloc.Reading]:
    return _read(_name(reading)), hwloc.read(others.folder("topologies") / reading)


def _within(groups: Iterable[CpuSet], part: CpuSet) -> set[CpuSet]:
    return {group & part for group in groups} - {frozenset()}


@pytest.mark.parametrize("reading", READINGS)
def test_finds_the_cpus_that_hwloc_finds(reading: str) -> None:
    ours, theirs = _pair(reading)
    assert theirs.cpus
    if _name(reading) in PART:
        assert theirs.cpus < ours.cpus
    else:
        assert theirs.cpus == ours.cpus


@pytest.mark.parametrize("reading", READINGS)
def test_groups_packages_dies_and_cores_as_hwloc_does(reading: str) -> None:
    ours, theirs = _pair(reading)
    assert _within(ours.packages, theirs.cpus) == theirs.sets("Package")
    assert _within(ours.dies, theirs.cpus) == theirs.sets("Die")
    if cores := theirs.sets("Core"):  # left out where hwloc merged levels, or knows no cores
        assert _within(ours.cores, theirs.cpus) == cores


@pytest.mark.parametrize("reading", READINGS)
def test_finds_the_caches_that_hwloc_finds(reading: str) -> None:
    ours, theirs = _pair(reading)
    for level, kinds in OTHERS_CACHES.items():
        found = [one.cpus for one in ours.caches if one.level == level and one.kind != "instruction"]
        if expected := theirs.sets(*kinds):
            assert _within(found, theirs.cpus) == expected
        elif _name(reading) not in PART:
            assert not found


@pytest.mark.parametrize("reading", READINGS)
def test_finds_the_nodes_their_cpus_and_their_memory(reading: str) -> None:
    ours, theirs = _pair(reading)
    found = {node.number: node for node in ours.nodes}
    if _name(reading) not in PART:
        assert found.keys() == theirs.nodes.keys()
    for number, seen in theirs.nodes.items():
        assert found[number].near & theirs.cpus == seen.cpus
        assert seen.memory in {None, found[number].memory}


def test_most_readings_are_of_whole_machines() -> None:
    names = {_name(reading) for reading in READINGS}
    assert names >= PART.keys()
    assert len(names - PART.keys()) == 17


@pytest.mark.parametrize("name", FOR_LSCPU)
def test_agrees_with_lscpu(name: str) -> None:
    if os.geteuid():
        pytest.skip("needs root: shows lscpu another /sys in a mount namespace")
    program = 'mount --bind "$1" /sys/devices/system && lscpu --parse=CPU,CORE,SOCKET,NODE'
    with machine(name) as system:
        tree = str(system.path("/sys/devices/system"))
        command = ["unshare", "--mount", "sh", "-c", program, "sh", tree]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(",") for line in listed.splitlines() if not line.startswith("#")]
    ours = _read(name)
    assert {int(row[0]) for row in rows} == ours.cpus
    for column, groups in ((1, ours.cores), (2, ours.packages), (3, [node.cpus for node in ours.nodes if node.cpus])):
        labels = {row[column] for row in rows}
        assert {frozenset(int(row[0]) for row in rows if row[column] == label) for label in labels} == set(groups)


def test_a_forged_mask_does_not_outvote_nine_right_ones() -> None:
    with machine("40intel64-4n10c+pci-conflicts") as system:
        kernel = Kernel(system)
        topology = read_topology(kernel)
    assert [len(package) for package in topology.packages] == [10, 10, 10, 10]
    assert [len(cache.cpus) for cache in topology.last_level_caches] == [10, 10, 10, 10]
    assert any("packages 0-3 is crossed by another" in doubt for doubt in kernel.doubts)
