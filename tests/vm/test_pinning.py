from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import UsageError
from virtkit.core.system import System
from virtkit.vm.cpus import format_cpus
from virtkit.vm.pinning import HostCpus, Pins, check, host_cpus, parse_pins, spread

if TYPE_CHECKING:
    from pathlib import Path

HOST = HostCpus(online=(0, 1, 2, 3), allowed=(0, 1, 2), limit="/cpuset", first_core=(0, 1))

cpu_sets = st.frozensets(st.integers(0, 200), min_size=1, max_size=6).map(lambda cpus: tuple(sorted(cpus)))


def tree(root: Path, files: dict[str, str]) -> System:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text + "\n")
    return System(root)


@given(st.dictionaries(st.integers(0, 99), cpu_sets, min_size=1))
def test_pins_are_read_as_they_are_written(pins: dict[int, tuple[int, ...]]) -> None:
    assert parse_pins(",".join(f"{vcpu}={format_cpus(cpus)}" for vcpu, cpus in pins.items())) == pins


@pytest.mark.parametrize("text", ["", "2", "0=", "=2", "0=2,", "x=1", "-1=2", "0=1,0=2", "0=2=3", "0=3-1", "999999=1"])
def test_what_is_no_pinning_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_pins(text)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 2))
def test_vcpus_are_spread_evenly_over_what_is_allowed(vcpus: int, cpus: int, threads: int) -> None:
    host = HostCpus(tuple(range(cpus)), tuple(range(cpus)), "", tuple(range(min(threads, cpus))))
    pins = spread(vcpus, host)
    places = [cpu for allowed in pins.vcpus.values() for cpu in allowed]
    loads = [places.count(cpu) for cpu in set(places)]
    assert len(places) == vcpus
    assert max(loads) - min(loads) <= 1
    assert set(places) | set(pins.emulator) <= set(host.allowed)


@given(st.integers(1, 40), st.integers(2, 40))
def test_the_first_core_is_left_to_the_emulator_where_there_are_enough(vcpus: int, cpus: int) -> None:
    pins = spread(vcpus, HostCpus(tuple(range(cpus)), tuple(range(cpus)), "", (0,)))
    alone = all(0 not in allowed for allowed in pins.vcpus.values())
    assert alone == (vcpus < cpus)
    assert pins.emulator == ((0,) if alone else tuple(range(cpus)))


def test_a_cpu_that_is_offline_is_refused_and_the_online_ones_are_named() -> None:
    with pytest.raises(UsageError, match="CPU 7 is not online, expected one of 0-3"):
        check("m", Pins({0: (7,)}), 1, HOST)


def test_a_cpu_outside_the_cpuset_is_refused_with_the_file_that_says_so() -> None:
    with pytest.raises(UsageError, match=r"CPU 3 is kept from machines, expected one of 0-2.*\(/cpuset\)"):
        check("m", Pins({}, emulator=(3,)), 1, HOST)


def test_a_vcpu_that_the_machine_has_not_is_refused() -> None:
    with pytest.raises(UsageError, match="vCPU is 2, expected 0 to 1"):
        check("m", Pins({2: (0,)}), 2, HOST)


@pytest.mark.parametrize(
    "limit",
    ["sys/fs/cgroup/machine.slice/cpuset.cpus.effective", "sys/fs/cgroup/cpuset/machine/cpuset.effective_cpus"],
)
def test_the_machines_cpuset_limits_what_is_allowed_in_either_version_of_cgroups(tmp_path: Path, limit: str) -> None:
    system = tree(
        tmp_path,
        {
            "sys/devices/system/cpu/online": "0-7",
            "sys/devices/system/cpu/cpu2/topology/thread_siblings_list": "2,6",
            limit: "2-6",
        },
    )
    host = host_cpus(system)
    assert (host.online, host.allowed, host.first_core) == (tuple(range(8)), (2, 3, 4, 5, 6), (2, 6))
    assert host.limit == f"/{limit}"


def test_without_cgroups_all_online_cpus_are_allowed(tmp_path: Path) -> None:
    host = host_cpus(tree(tmp_path, {"sys/devices/system/cpu/online": "0-2"}))
    assert (host.allowed, host.limit, host.first_core) == ((0, 1, 2), "", (0,))
