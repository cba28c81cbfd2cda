from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from bench.host.knobs import DONE, attempt, state
from host.trees import NODES, planted
from virtkit.core.journal import Journal
from virtkit.core.system import System
from virtkit.host.hugepages import room
from virtkit.host.kernel import Kernel
from virtkit.host.knob import Risk, Scope, places
from virtkit.host.legal import Cpus, Given, Partition, Range, Words
from virtkit.host.registry import knobs, setting, settings

if TYPE_CHECKING:
    from pathlib import Path

HARMLESS = {"khugepaged", "overcommit", "polling", "quiet", "writeback"}
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root sets the kernel's knobs")
GIB = 1 << 20  # in kB


def test_there_are_as_many_knobs_as_are_promised() -> None:
    assert len(knobs()) >= 40


def test_what_hangs_together_is_known_and_rivals_name_each_other() -> None:
    for knob in knobs().values():
        others = {*knob.resets, knob.rival, knob.needs[0] if knob.needs else ""} - {""}
        assert others <= knobs().keys(), knob.name
        assert not knob.rival or knobs()[knob.rival].rival == knob.name
        if knob.file == "/proc/cmdline":
            assert knob.parameter, knob.name
            assert knob.risk is not Risk.SAFE, knob.name


@ROOT
@pytest.mark.parametrize("family", sorted(HARMLESS))
def test_this_kernel_takes_each_knob_and_has_it_back(family: str, tmp_path: Path) -> None:
    """The others, which would disturb tests beside this one, are tried by bench/host/knobs.py."""
    system, journal = System(), Journal(tmp_path)
    before = state(system)
    here = [one for one in settings(Kernel(system)) if one.knob.family == family and one.writable(Kernel(system))]
    assert here
    assert [trial for trial in (attempt(system, one, journal) for one in here) if trial.outcome != DONE] == []
    after = state(system)
    assert {one.name: after[one.name] for one in here} == {one.name: before[one.name] for one in here}


def test_a_pool_may_not_take_what_the_node_cannot_spare(tmp_path: Path) -> None:
    """40000 pages of 2 MiB took 14.6 GB of a running host at once."""
    node = f"{NODES}/node1"
    files = {
        f"{node}/meminfo": f"Node 1 MemTotal: {16 * GIB} kB\nNode 1 MemFree: {8 * GIB} kB\n",
        f"{node}/hugepages/hugepages-2048kB/nr_hugepages": "100",
        "/proc/meminfo": f"MemAvailable: {64 * GIB} kB\n",
    }
    kernel = planted(tmp_path, files)
    spare = room(kernel, 1)
    assert spare == 8 * GIB * 1024 - 16 * GIB * 1024 // 20
    most = 100 + spare // (2 << 20)
    refusal = setting("hugepages.2M@1").knob.refusal
    assert refusal is not None
    assert refusal(kernel, "1", str(most)) == ""
    assert f"at most {most} pages" in refusal(kernel, "1", str(most + 1))
    assert refusal(kernel, "1", "0") == ""


def test_a_host_that_is_short_of_memory_lends_nothing_even_if_one_node_is_free(tmp_path: Path) -> None:
    files = {
        f"{NODES}/node0/meminfo": f"Node 0 MemTotal: {4 * GIB} kB\nNode 0 MemFree: {3 * GIB} kB\n",
        "/proc/meminfo": "MemAvailable: 1000 kB\n",
    }
    assert (room(planted(tmp_path, files), 0) or 0) < 0


def test_smt_stays_on_under_a_machine_that_is_pinned_to_a_second_thread(tmp_path: Path) -> None:
    cpu = "/sys/devices/system/cpu"
    files = {f"{cpu}/cpu{number}/topology/core_cpus_list": f"{number % 2},{number % 2 + 2}" for number in range(4)}
    files |= {f"{cpu}/cpu{number}/topology/core_id": str(number % 2) for number in range(4)}
    files |= {
        f"{cpu}/smt/control": "on",
        "/proc/9/comm": "qemu-system-x86",
        "/proc/9/cmdline": "qemu-system-x86_64\0-name\0guest=web1\0",
        "/proc/9/task/9/status": "Name:\tqemu\nCpus_allowed_list:\t0-3\n",
        "/proc/9/task/10/status": "Name:\tCPU 0/KVM\nCpus_allowed_list:\t2-3\n",
    }
    kernel = planted(tmp_path, files)
    refusal = setting("smt.control").knob.refusal
    assert refusal is not None
    assert "web1: thread CPU 0/KVM is pinned to CPUs 2-3" in refusal(kernel, "", "off")
    assert refusal(kernel, "", "on") == ""
    kernel.system.path("/proc/9/task/10/status").write_text("Name:\tCPU 0/KVM\nCpus_allowed_list:\t1-2\n")
    assert refusal(kernel, "", "off") == ""


def test_cpus_stay_where_a_cpuset_of_version_1_would_lose_them(tmp_path: Path) -> None:
    """Seen in a guest: 0-7, then 0-4,6-7 for good after CPU 5 had gone and come back."""
    mount = "/sys/fs/cgroup/cpuset"
    files = {"/proc/mounts": f"cgroup {mount} cgroup rw,cpuset 0 0\n", f"{mount}/cpuset.cpus": "0-3"}
    kernel = planted(tmp_path, files)
    refusal = setting("cpu.online@1").knob.refusal
    assert refusal is not None
    assert refusal(kernel, "1", "0") == ""
    kernel = planted(tmp_path, {f"{mount}/machine/cpuset.cpus": "0-3"})
    assert f"{mount}/machine is of version 1" in refusal(kernel, "1", "0")
    assert refusal(kernel, "1", "1") == ""


def test_ksm_keeps_its_trees_while_pages_are_merged(tmp_path: Path) -> None:
    kernel = planted(tmp_path, {"/sys/kernel/mm/ksm/pages_shared": "7"})
    refusal = setting("ksm.merge_across_nodes").knob.refusal
    assert refusal is not None
    assert "first set ksm.run=2" in refusal(kernel, "", "0")


def test_the_volatile_cache_of_a_disk_is_never_written(tmp_path: Path) -> None:
    here = setting("block.write_cache@sda")
    kernel = planted(tmp_path, {here.file: "write back"})
    assert here.knob.refusal is not None
    assert all(here.knob.refusal(kernel, "sda", value) for value in ("write back", "write through"))


def test_places_are_numbers_in_their_order_with_their_unit(tmp_path: Path) -> None:
    folder = "/sys/kernel/mm/transparent_hugepage"
    sizes = {f"{folder}/hugepages-{size}kB/enabled": "" for size in (2048, 64, 512)} | {f"{folder}/enabled": ""}
    kernel = planted(
        tmp_path, sizes | {"/proc/irq/10/a": "", "/proc/irq/9/a": "", "/proc/irq/default_smp_affinity": "3"}
    )
    assert places(kernel, Scope.THP) == ["64kB", "512kB", "2048kB"]
    assert places(kernel, Scope.IRQ) == ["9", "10"]


def test_what_the_kernel_was_started_with_is_shown_as_it_was_given() -> None:
    legal = Given("mitigations", Words(("auto", "off")), unset="auto")
    assert [legal.value(text) for text in ("ro", "mitigations=off", "mitigations=auto,no_guest_host")] == [
        "auto", "off", "auto,no_guest_host",
    ]  # fmt: skip
    assert Given("rcu_nocbs", Cpus()).value("rcu_nocbs=2,3 rcu-nocbs=1,2,3") == "1-3"
    assert (legal.accept("off", ""), legal.accept("none", "")) == ("off", None)


def test_a_partition_that_the_kernel_could_not_make_is_not_taken_for_one() -> None:
    legal = Partition()
    assert legal.value("isolated invalid (Cpu list in cpuset.cpus not exclusive)") == "isolated invalid"
    assert (legal.value("member"), legal.value("what"), legal.accept("isolated invalid", "")) == ("member", None, None)


def test_a_slice_that_nobody_has_bounded_yet_can_be_bounded_at_boot(tmp_path: Path) -> None:
    here = setting("slice.system.cpus")
    kernel = planted(tmp_path, {"/sys/fs/cgroup/cgroup.controllers": "cpu cpuset memory\n"})
    assert (here.read(kernel), here.counts(kernel), here.writable(kernel)) == ("", "", False)
    kernel.system.path("/sys/fs/cgroup/cgroup.controllers").write_text("cpu memory\n")
    assert here.read(kernel) is None


def test_a_range_may_have_words_and_cpus_may_be_null() -> None:
    legal = Range(0, 100, words=("n/a",))
    assert [legal.accept(text, "") for text in ("n/a", "100", "101", "x")] == ["n/a", "100", None, None]
    assert Cpus().value("(null)") == ""
