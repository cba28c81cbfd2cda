from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import UsageError
from virtkit.core.system import System
from virtkit.vm.cpus import format_cpus
from virtkit.vm.domain import Domain
from virtkit.vm.pinning import HostCpus, Pins, check, host_cpus, of_domain, parse_pins

if TYPE_CHECKING:
    from pathlib import Path

HOST = HostCpus(online=(0, 1, 2, 3), allowed=(0, 1, 2), limit="/cpuset")

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


def test_neighbours_on_the_same_cpus_are_told_together() -> None:
    pins = Pins({0: (4,), 1: (5,), 2: (6, 7), 3: (6, 7)}, (0, 1), {1: (0, 1)}, (1,))
    assert str(pins) == (
        "vCPU 0 on CPU 4, vCPU 1 on CPU 5, vCPUs 2-3 on CPU 6-7, emulator on CPU 0-1, I/O thread 1 on CPU 0-1, "
        "memory on node 1 (strict)"
    )


def test_what_the_xml_says_is_read_back_as_it_was_written() -> None:
    domain = Domain.parse("<domain><name>m</name><iothreads>2</iothreads></domain>")
    domain.set_pins({0: (1,), 1: (2, 3)}, (0,), {2: (0,)})
    domain.numatune = "<numatune><memory mode='preferred' nodeset='1'/></numatune>"
    read = of_domain(Domain.parse(domain.text()))
    assert read == Pins({0: (1,), 1: (2, 3)}, (0,), {2: (0,)}, (1,), "preferred")
    assert domain.iothread_numbers == (1, 2)
    domain.set_pins({}, (), {})
    domain.numatune = ""
    assert domain.text() == "<domain><name>m</name><iothreads>2</iothreads></domain>"


def test_pins_are_within_others_only_with_all_their_parts() -> None:
    shown = Pins({0: (1,), 1: (2,)}, (0,), {1: (0,)}, (0,))
    assert Pins({0: (1,)}).within(shown)
    assert not Pins({0: (1,)}, iothreads={1: (1,)}).within(shown)
    assert not Pins({}, nodes=(0, 1)).within(shown)
    assert not Pins({}, nodes=(0,), mode="preferred").within(shown)


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
            limit: "2-6",
        },
    )
    host = host_cpus(system)
    assert (host.online, host.allowed) == (tuple(range(8)), (2, 3, 4, 5, 6))
    assert host.limit == f"/{limit}"


def test_without_cgroups_all_online_cpus_are_allowed(tmp_path: Path) -> None:
    host = host_cpus(tree(tmp_path, {"sys/devices/system/cpu/online": "0-2"}))
    assert (host.allowed, host.limit) == ((0, 1, 2), "")
