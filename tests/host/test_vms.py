from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from host.trees import planted
from virtkit.core.system import System
from virtkit.host.kernel import Kernel
from virtkit.host.programs import find_tuners, read_programs
from virtkit.host.vms import Vm, VmMemory, read_vms

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

QEMU = "qemu-system-x86_64"


@contextmanager
def _machine(*words: str) -> Iterator[int]:
    """A QEMU of two vCPUs that stands still."""
    command = [QEMU, "-S", "-nodefaults", "-display", "none", "-accel", "tcg,thread=multi", "-m", "32", "-smp", "2"]
    with subprocess.Popen([*command, *words]) as running:
        try:
            yield running.pid
        finally:
            running.kill()


def _vm(pid: int) -> Vm:
    """As soon as its vCPUs are there."""
    kernel = Kernel(System())
    found: dict[int, Vm] = {}
    for _ in range(200):
        found = {vm.pid: vm for vm in read_vms(kernel, read_programs(kernel))}
        if pid in found and sum(thread.is_vcpu for thread in found[pid].threads) == 2:
            return found[pid]
        time.sleep(0.05)
    pytest.fail(f"no vCPUs in {found}")


@pytest.mark.skipif(not shutil.which(QEMU), reason=f"{QEMU} is not installed")
def test_a_running_machine_has_its_name_its_threads_and_their_cpus() -> None:
    with _machine("-name", "guest=a,,b,debug-threads=on") as pid:
        vm = _vm(pid)
        assert vm.name == "a,b"
        assert {thread.tid for thread in vm.threads} == {int(tid) for tid in os.listdir(f"/proc/{pid}/task")}
        first, second = (thread for thread in vm.threads if thread.is_vcpu)
        cpu = min(first.cpus)
        subprocess.run(["taskset", "-cp", str(cpu), str(first.tid)], check=True, capture_output=True)
        after = {thread.tid: thread.cpus for thread in _vm(pid).threads}
        assert (after[first.tid], after[second.tid]) == (frozenset({cpu}), second.cpus)


@pytest.mark.skipif(not shutil.which(QEMU), reason=f"{QEMU} is not installed")
@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel tells another process's memory to root")
def test_the_memory_of_a_machine_is_what_the_kernel_adds_up() -> None:
    with _machine("-name", "guest=plain,debug-threads=on") as pid:
        memory = _vm(pid).memory
        status = Kernel(System()).fields(f"/proc/{pid}/status")
    assert memory.resident is not None
    assert memory.proportional is not None
    assert 0.8 < memory.resident / status["VmRSS"] < 1.25  # it was read before, and the kernel counts it in batches
    assert 0 < memory.proportional <= memory.resident
    assert (memory.hugetlb, memory.swapped) == (0, 0)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["-name", "guest=web1,debug-threads=on"], "web1"),
        (["-name", "web1"], "web1"),
        (["--name", "debug-threads=on,guest=x"], "x"),
        (["-name", "debug-threads=on"], None),
        (["-name"], None),
        ([], None),
    ],
)
def test_the_name_is_qemu_s(tmp_path: Path, words: list[str], name: str | None) -> None:
    cmdline = "\0".join(["/usr/bin/qemu-kvm", *words, ""])
    files = {"/proc/9/comm": "qemu-kvm\n", "/proc/9/cmdline": cmdline}
    files |= {"/proc/9/task/9/status": "Name:\tqemu-kvm\nCpus_allowed_list:\t0-3\n"}
    kernel = planted(tmp_path, files)
    (vm,) = read_vms(kernel, read_programs(kernel))
    assert (vm.name, vm.memory) == (name, VmMemory(None, None, None, None, None, None, None))


def test_what_ksm_merged_of_a_machine_is_counted(tmp_path: Path) -> None:
    rollup = "00-ff ---p 0 00:00 0 [rollup]\nRss: 8 kB\nPss: 6 kB\nAnonHugePages: 4 kB\nShared_Hugetlb: 2048 kB\n"
    files = {
        "/proc/9/comm": "qemu-system-x86",
        "/proc/9/cmdline": "qemu-system-x86_64\0",
        "/proc/9/task/9/status": "Name:\tq\nCpus_allowed_list:\t1\n",
        "/proc/9/task/10/status": "Name:\tended\n",
        "/proc/9/smaps_rollup": f"{rollup}Private_Hugetlb: 2048 kB\nSwap: 1 kB\n",
        "/proc/9/ksm_stat": "ksm_rmap_items 5\nksm_merging_pages 3\nksm_process_profit -64\nksm_mergeable: yes\n",
        "/proc/10/comm": "qemu-system-x86",
        "/proc/11/comm": "kvm-nx-lpage-re",
    }
    kernel = planted(tmp_path, files)
    (vm,) = read_vms(kernel, read_programs(kernel))
    assert vm.memory == VmMemory(8 << 10, 6 << 10, 4 << 10, 4 << 20, 1 << 10, 3, -64)
    assert [thread.tid for thread in vm.threads] == [9]


def test_who_tunes_the_host_besides_us_is_named_once(tmp_path: Path) -> None:
    files = {f"/proc/{pid}/comm": name for pid, name in enumerate(["tuned", "bash", "irqbalance", "tuned"], 30)}
    kernel = planted(tmp_path, files | {"/etc/tuned/active_profile": "virtual-host\n"})
    tuners = find_tuners(kernel, read_programs(kernel))
    assert [(tuner.name, tuner.pid, tuner.profile) for tuner in tuners] == [
        ("tuned", 30, "virtual-host"),
        ("irqbalance", 32, None),
    ]
