"""Topologies that the test made up, with what is rare in real machines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from host.trees import CPUS, NODES, planted
from virtkit.core.cpuset import format_list
from virtkit.host.topology import Topology, read_topology

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.core.cpuset import CpuSet


@st.composite
def machines(draw: st.DrawFn) -> tuple[list[list[list[int]]], frozenset[int]]:
    """Packages of cores of threads, CPUs numbered at random, and which CPUs are offline; CPU 0 never is."""
    shape = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4))
    packages, cores, threads = draw(shape)
    numbers = iter(draw(st.permutations(range(packages * cores * threads))))
    machine = [[[next(numbers) for _ in range(threads)] for _ in range(cores)] for _ in range(packages)]
    offline = draw(st.frozensets(st.integers(1, packages * cores * threads), max_size=5))
    return machine, offline & {cpu for package in machine for core in package for cpu in core}


def _mask(cpus: Iterable[int]) -> str:
    digits = f"{sum(1 << cpu for cpu in cpus):016x}"
    return f"{digits[:8]},{digits[8:]}\n"


def _files(machine: list[list[list[int]]], offline: frozenset[int], *, old: bool) -> dict[str, str]:
    """As the kernel shows them: lists or masks, old or new names; what is offline has no topology."""
    core_name, package_name = ("thread_siblings", "core_siblings") if old else ("core_cpus", "package_cpus")
    suffix, spell = ("", _mask) if old else ("_list", format_list)
    everything = {cpu for package in machine for core in package for cpu in core}
    files = {f"{CPUS}/online": format_list(everything - offline)}
    for package in machine:
        whole = {cpu for core in package for cpu in core} - offline
        for number, core in enumerate(package):
            for cpu in core:
                folder = f"{CPUS}/cpu{cpu}"
                files[f"{folder}/online"] = "0" if cpu in offline else "1"
                if cpu not in offline:
                    files[f"{folder}/topology/core_id"] = str(number)  # repeats in each package, as it does
                    files[f"{folder}/topology/{core_name}{suffix}"] = spell(set(core) - offline)
                    files[f"{folder}/topology/{package_name}{suffix}"] = spell(whole)
    return files


def _read(files: dict[str, str]) -> tuple[Topology, list[str]]:
    with TemporaryDirectory() as root:
        kernel = planted(Path(root), files)
        return read_topology(kernel), kernel.doubts


@settings(max_examples=40, deadline=None)
@given(machines(), st.booleans())
def test_reads_back_any_machine_from_old_and_new_kernels(
    made: tuple[list[list[list[int]]], frozenset[int]],
    old: bool,  # noqa: FBT001  hypothesis passes it by position
) -> None:
    machine, offline = made
    topology, doubts = _read(_files(machine, offline, old=old))
    everything = frozenset(cpu for package in machine for core in package for cpu in core)
    cores = [frozenset(core) - offline for package in machine for core in package]
    packages = [frozenset(cpu for core in package for cpu in core) - offline for package in machine]
    assert topology.present == everything
    assert topology.cpus == everything - offline
    assert set(topology.cores) == set(cores) - {frozenset()}
    assert set(topology.packages) == set(packages) - {frozenset()}
    assert [node.cpus for node in topology.nodes] == [everything - offline]
    assert not doubts


def _nodes(cpus: dict[int, str], distances: dict[int, str]) -> dict[str, str]:
    files = {f"{NODES}/node{number}/cpulist": text for number, text in cpus.items()}
    files |= {f"{NODES}/node{number}/distance": text for number, text in distances.items()}
    return files | {f"{CPUS}/cpu{cpu}/topology/core_id": str(cpu) for cpu in range(4)}


def test_nodes_that_share_cpus_become_one_node_and_a_doubt() -> None:
    topology, doubts = _read(_nodes({0: "0-3", 1: "0-3"}, {}))
    assert [(node.number, node.cpus) for node in topology.nodes] == [(0, frozenset(range(4)))]
    assert any("CPU 0 is in more than one node" in doubt for doubt in doubts)


def test_a_node_without_cpus_is_near_the_nodes_at_the_least_distance() -> None:
    distances = {0: "10 20 30 17", 1: "20 10 30 28", 2: "30 30 10 17", 3: "17 28 17 10"}
    topology, _ = _read(_nodes({0: "0-1", 1: "2", 2: "3", 3: ""}, distances))
    memory_only = topology.nodes[3]
    assert not memory_only.cpus
    assert memory_only.near == {0, 1, 3}


def test_the_firmwares_word_wins_over_distance() -> None:
    files = _nodes({0: "0-1", 1: "2-3", 2: ""}, {2: "17 28 10"})
    files[f"{NODES}/node2/access1/initiators/node1/x"] = ""
    topology, _ = _read(files)
    assert topology.nodes[2].near == {2, 3}


def test_distances_that_do_not_match_the_nodes_are_a_doubt() -> None:
    topology, doubts = _read(_nodes({0: "0-3"}, {0: "10 20"}))
    assert topology.nodes[0].distances == {}
    assert any("distance" in doubt for doubt in doubts)


def test_siblings_with_other_core_ids_are_cores_of_one_module() -> None:
    files = {f"{CPUS}/cpu{cpu}/topology/thread_siblings": "3" if cpu < 2 else "c" for cpu in range(4)}
    files |= {f"{CPUS}/cpu{cpu}/topology/core_id": str(cpu) for cpu in range(4)}
    topology, _ = _read(files)
    assert set(topology.cores) == {frozenset({cpu}) for cpu in range(4)}


def test_a_cache_that_names_nobody_belongs_to_its_cpu() -> None:
    files: dict[str, str] = {}
    for cpu in range(2):
        cache = f"{CPUS}/cpu{cpu}/cache/index3"
        files |= {
            f"{cache}/level": "3",
            f"{cache}/type": "Unified",
            f"{cache}/size": "9216K",
            f"{cache}/shared_cpu_map": "0",
        }
    topology, _ = _read(files)
    assert {(cache.level, cache.size, cache.cpus) for cache in topology.last_level_caches} == {
        (3, 9 << 20, frozenset({cpu})) for cpu in range(2)
    }


def test_the_last_level_may_differ_from_core_to_core() -> None:
    levels: dict[CpuSet, int] = {frozenset({0, 1}): 3, frozenset({2, 3}): 2}
    files: dict[str, str] = {}
    for group, level in levels.items():
        for cpu in group:
            for below in range(1, level + 1):
                cache, shared = f"{CPUS}/cpu{cpu}/cache/index{below}", group if below == level else {cpu}
                files |= {f"{cache}/level": str(below), f"{cache}/type": "Data"}
                files |= {f"{cache}/shared_cpu_list": format_list(shared)}
    topology, _ = _read(files)
    assert {cache.cpus: cache.level for cache in topology.last_level_caches} == levels


def test_a_host_that_shows_nothing_has_no_cpus_and_one_node() -> None:
    topology, doubts = _read({})
    assert not topology.cpus
    assert len(topology.nodes) == 1
    assert topology.threads_per_core == 0
    assert not doubts
