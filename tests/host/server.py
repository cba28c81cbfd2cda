"""A host as it could stand in a rack: two nodes, four cores each with two threads, every kind of disk and of knob."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING

from host.trees import CPUS, NODES, plant
from virtkit import host
from virtkit.core.units import GIB, KIB
from virtkit.host.advice.advising import look
from virtkit.host.advice.case import Guest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from virtkit.core.system import System
    from virtkit.host.advice.case import Case, Profile

MM = "/sys/kernel/mm"
MEMORY = 32 * GIB  # of each node
SYSCTLS = {
    "fs/aio-max-nr": "65536",
    "kernel/io_uring_disabled": "0",
    "kernel/nmi_watchdog": "1",
    "kernel/numa_balancing": "1",
    "kernel/osrelease": "6.18.0",
    "kernel/sched_autogroup_enabled": "1",
    "kernel/sched_rt_runtime_us": "950000",
    "kernel/timer_migration": "1",
    "net/bridge/bridge-nf-call-ip6tables": "1",
    "net/bridge/bridge-nf-call-iptables": "1",
    "net/core/busy_poll": "0",
    "net/core/busy_read": "0",
    "vm/compaction_proactiveness": "20",
    "vm/dirty_background_bytes": "0",
    "vm/dirty_background_ratio": "10",
    "vm/dirty_bytes": "0",
    "vm/dirty_ratio": "20",
    "vm/max_map_count": "65530",
    "vm/stat_interval": "1",
    "vm/swappiness": "60",
    "vm/zone_reclaim_mode": "0",
}
FOLDERS = ("/etc/sysctl.d", "/usr/lib/tmpfiles.d", "/etc/udev/rules.d", "/etc/modprobe.d")
DISKS = {"nvme0n1": ("0", "[none] mq-deadline kyber bfq"), "sda": ("1", "[none] mq-deadline kyber bfq")}


def files() -> dict[str, str]:
    meminfo = f"MemTotal: {2 * MEMORY // KIB} kB\nMemAvailable: {48 * GIB // KIB} kB\nHugepagesize: 2048 kB\n"
    found = {f"/proc/sys/{name}": value for name, value in SYSCTLS.items()} | {
        "/proc/meminfo": meminfo,
        "/proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: vmx ept\n",
        "/proc/cmdline": "root=/dev/sda1 mitigations=off",
        "/proc/swaps": "Filename Type Size Used Priority\n/dev/sda2 partition 8388604 0 -2\n",
        "/proc/irq/default_smp_affinity": "0000ffff",
        "/proc/modules": "kvm_intel 1000 0 - Live 0x0\nkvm 1000 1 kvm_intel, Live 0x0\n",
        **dict.fromkeys((f"{folder}/README" for folder in FOLDERS), ""),
        "/sys/devices/virtual/workqueue/cpumask": "0000ffff",
        "/sys/module/kvm/parameters/halt_poll_ns": "100000",
        "/sys/module/kvm/parameters/nx_huge_pages": "N",
        "/sys/module/kvm_intel/parameters/ept": "Y",
        "/sys/module/kvm_intel/parameters/nested": "Y",
        f"{CPUS}/smt/control": "on",
        f"{CPUS}/isolated": "",
        f"{CPUS}/nohz_full": "",
        f"{MM}/transparent_hugepage/enabled": "always [madvise] never",
        f"{MM}/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never",
        f"{MM}/transparent_hugepage/shmem_enabled": "always within_size advise [never] deny force",
        f"{MM}/transparent_hugepage/khugepaged/max_ptes_none": "511",
        f"{MM}/ksm/run": "0",
        f"{MM}/ksm/advisor_mode": "[none] scan-time",
        f"{MM}/ksm/merge_across_nodes": "1",
        f"{MM}/ksm/pages_shared": "0",
        f"{MM}/ksm/pages_sharing": "0",
        f"{NODES}/online": "0-1",
    }
    for cpu in range(16):
        found |= _cpu(cpu)
    for node in range(2):
        found |= _node(node)
    for name, (rotating, schedulers) in DISKS.items():
        queue = f"/sys/block/{name}/queue"
        found |= {f"{queue}/rotational": rotating, f"{queue}/scheduler": schedulers, f"{queue}/nr_requests": "256"}
        found |= {f"{queue}/write_cache": "write back", f"/sys/block/{name}/size": "1000000"}
    return found


def _cpu(cpu: int) -> dict[str, str]:
    """Core n has the threads n and n + 8; cores 0-3 are in node 0."""
    core, node = cpu % 8, cpu % 8 // 4
    folder = f"{CPUS}/cpu{cpu}"
    return {
        f"{folder}/topology/core_id": str(core),
        f"{folder}/topology/core_cpus": f"{1 << core | 1 << core + 8:x}",
        f"{folder}/topology/package_cpus": f"{0x0F0F << 4 * node:x}",
        f"{folder}/cpufreq/scaling_governor": "powersave",
        f"{folder}/cpufreq/scaling_available_governors": "performance powersave",
        f"{folder}/cpufreq/energy_performance_preference": "balance_performance",
        f"{folder}/cpufreq/energy_performance_available_preferences": "default performance balance_performance power",
        f"{folder}/power/energy_perf_bias": "6",
        f"{folder}/power/pm_qos_resume_latency_us": "0",
    }


def _node(node: int) -> dict[str, str]:
    folder = f"{NODES}/node{node}"
    size = f"Node {node} MemTotal: {MEMORY // KIB} kB\nNode {node} MemFree: {24 * GIB // KIB} kB\n"
    found = {f"{folder}/cpumap": f"{0x0F0F << 4 * node:x}", f"{folder}/meminfo": size, f"{folder}/distance": "10 21"}
    for kib in (2048, 1048576):
        pool = f"{folder}/hugepages/hugepages-{kib}kB"
        found |= {f"{pool}/nr_hugepages": "0", f"{pool}/free_hugepages": "0"}
    return found


def machine(name: str = "m1", **fields: object) -> Guest:
    return Guest(name, **{"profile": None, "active": True, "vcpus": 2, "memory": 4 * GIB, **fields})  # type: ignore[arg-type]  # the fields of the class


def stand(root: Path, changed: Mapping[str, str] = MappingProxyType({})) -> System:
    """This server as files, with some of them changed."""
    return plant(root, files() | dict(changed))


@cache
def _seen(changed: tuple[tuple[str, str], ...]) -> Case:
    with TemporaryDirectory(prefix="virtkit-server-") as root:
        system = stand(Path(root), dict(changed))
        return look(system, host.facts(system))


def case(
    *profiles: Profile,
    guests: Iterable[Guest] = (),
    untrusted: bool = False,
    changed: Mapping[str, str] = MappingProxyType({}),
) -> Case:
    return _seen(tuple(changed.items())).asked(guests, profiles, untrusted=untrusted)
