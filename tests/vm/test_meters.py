"""What counters say over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import UsageError
from virtkit.core.system import System
from virtkit.vm.meters.counters import Counters, Disk, Memory, Nic, Vcpu
from virtkit.vm.meters.place import NOWHERE, place
from virtkit.vm.meters.usage import ORDERS, ordered, usage

if TYPE_CHECKING:
    from pathlib import Path

MEMORY = Memory(1, 1, 1, None, None, None, None, None, None)


def counters(at: float, cpu: float = 0, *, written: int = 0, received: int = 0, delay: float | None = 0.0) -> Counters:
    vcpus = tuple(Vcpu(number, 1, cpu / 2, 0.0, delay) for number in (0, 2))
    disk = Disk("vda", "/a", 0, 0, 0, written // 4096, written, 0, 0, 0, 0, 0, 0)
    nic = Nic("vnet0", received, 0, 0, 0, 0, 0, 0, 0)
    return Counters("web1", "u", "running", 1, at, cpu, vcpus, 4, MEMORY, (disk,), (nic,))


def test_two_looks_become_rates() -> None:
    used = usage(counters(10, 3), counters(12, 6, written=8192, received=1000, delay=0.5), NOWHERE)
    assert (used.cpu, used.busy, used.vcpus) == (1.5, 0.75, 2)
    assert used.steal == 0.25, "two vCPUs waited half a second each in two seconds"
    assert (used.write, used.disks[0].writes, used.received, used.read) == (4096, 1, 500, 0)


def test_what_libvirt_does_not_tell_is_not_zero() -> None:
    assert usage(counters(0, delay=None), counters(1, delay=None), NOWHERE).steal is None


def test_a_machine_that_was_started_anew_counts_from_nothing() -> None:
    used = usage(counters(0, 100, written=10_000), counters(2, 1, written=4096), NOWHERE)
    assert (used.cpu, used.write) == (0.5, 2048)


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=8), st.sampled_from(sorted(ORDERS)))
def test_the_largest_comes_first(spent: list[float], by: str) -> None:
    used = [usage(counters(0), counters(1, cpu)._replace(name=f"m{n}"), NOWHERE) for n, cpu in enumerate(spent)]
    there = ordered(used, by)
    assert sorted(one.name for one in there) == sorted(one.name for one in used)
    values = [getattr(one, ORDERS[by]) for one in there]
    assert values == sorted(values, reverse=by != "name")


def test_an_unknown_order_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="order is load, expected one of cpu, steal, mem"):
        ordered([], "load")


def test_its_place_is_read_from_the_kernel(tmp_path: Path) -> None:
    files = {
        "run/libvirt/qemu/web1.pid": "77",
        "proc/77/cmdline": "qemu-system-x86_64\0-name\0guest=web1,debug-threads=on\0",
        "proc/77/status": "Name:\tqemu\nVmRSS:\t  2048 kB\nHugetlbPages:\t 4096 kB\nVmSwap:\t 1024 kB\nThreads:\t3\n",
        "proc/77/task/78/status": "Name:\tCPU 0/KVM\nCpus_allowed_list:\t4-5\n",
        "proc/77/task/79/status": "Name:\tCPU 1/KVM\nCpus_allowed_list:\t6\n",
        "proc/77/task/77/status": "Name:\tqemu-system-x86\nCpus_allowed_list:\t0-7\n",
        "sys/devices/system/cpu/online": "0-7\n",
        "sys/devices/system/node/node0/cpulist": "0-3\n",
        "sys/devices/system/node/node1/cpulist": "4-7\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = place(System(tmp_path), "web1")
    assert (found.cpus, found.everywhere, found.nodes) == ((4, 5, 6), False, (1,))
    assert (found.resident, found.huge, found.swapped) == (2 << 20, 4 << 20, 1 << 20)
    assert place(System(tmp_path), "web2") is NOWHERE
