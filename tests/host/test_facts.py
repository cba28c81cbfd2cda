from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from host.trees import CPUS, NODES, plant, planted
from virtkit import host
from virtkit.core.cpuset import parse_list
from virtkit.core.system import System
from virtkit.host.cgroups import read_cgroups
from virtkit.host.cpu import read_cpu, read_guest
from virtkit.host.disks import Disk, read_disks
from virtkit.host.hugepages import HugePages, read_pools
from virtkit.host.kernel import Choice
from virtkit.host.memory import Swap, read_ksm, read_memory, read_thp
from virtkit.host.picture import read_facts

KSM, THP, POOLS = "/sys/kernel/mm/ksm", "/sys/kernel/mm/transparent_hugepage", "/sys/kernel/mm/hugepages"
PAGE = os.sysconf("SC_PAGE_SIZE")

EVERY_FILE = [
    "/proc/cpuinfo", "/proc/meminfo", "/proc/swaps", "/proc/mounts", "/proc/sys/kernel/osrelease",
    f"{CPUS}/online", f"{CPUS}/cpu0/online", f"{CPUS}/cpu0/topology/core_id", f"{CPUS}/cpu0/topology/core_cpus",
    f"{CPUS}/cpu1/topology/core_cpus_list", f"{CPUS}/cpu1/topology/package_cpus", f"{CPUS}/cpu0/topology/die_cpus",
    f"{CPUS}/cpu0/cache/index0/level", f"{CPUS}/cpu0/cache/index0/type", f"{CPUS}/cpu0/cache/index0/size",
    f"{CPUS}/cpu0/cache/index0/shared_cpu_map", f"{NODES}/online", f"{NODES}/node0/cpumap", f"{NODES}/node0/meminfo",
    f"{NODES}/node1/distance", f"{NODES}/node1/hugepages/hugepages-2048kB/nr_hugepages", f"{THP}/enabled",
    f"{THP}/defrag", "/sys/hypervisor/type",
    f"{KSM}/run", f"{KSM}/general_profit", f"{KSM}/pages_sharing", f"{KSM}/advisor_mode",
    f"{POOLS}/hugepages-2048kB/nr_hugepages", f"{POOLS}/hugepages-2048kB/free_hugepages", "/sys/block/vda/size",
    "/sys/block/vda/queue/scheduler", "/sys/block/vda/queue/rotational", "/sys/module/kvm_intel/parameters/ept",
    "/sys/module/kvm/parameters/halt_poll_ns", "/sys/class/dmi/id/product_name", "/proc/cmdline",
    f"{CPUS}/isolated", f"{CPUS}/nohz_full", "/proc/7/comm", "/proc/7/cmdline", "/proc/7/task/7/status",
    "/proc/7/smaps_rollup", "/proc/7/ksm_stat", "/etc/tuned/active_profile", "/sys/bus/pci/devices/0000:00:01.0/class",
    "/sys/bus/pci/devices/0000:00:01.0/numa_node", "/sys/bus/pci/devices/0000:00:01.0/sriov_numvfs",
]  # fmt: skip
NOISE = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"0",
            b"1",
            b"-1",
            b"0-3",
            b"ffffffff",
            b"[a] b",
            b"flags : vmx\nvendor_id : x",
            b"9" * 5000,
            b"\xff\0",
            b"qemu-kvm",
            b"tuned",
        ]
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(EVERY_FILE), NOISE))
def test_no_content_of_any_file_is_an_error_and_the_picture_is_json(content: dict[str, bytes]) -> None:
    with TemporaryDirectory() as root:
        system = plant(Path(root), dict.fromkeys(content, ""))
        for name, noise in content.items():
            system.path(name).write_bytes(noise)
        picture = json.dumps(read_facts(system).data(), ensure_ascii=False)
    assert picture.encode()  # a lone surrogate would not encode


def test_the_keys_of_the_picture_are_these() -> None:
    picture = host.facts(System()).data()
    assert list(picture) == [
        "kernel", "command_line", "kvm", "cpu", "guest", "topology", "memory", "thp", "ksm", "hugepages", "disks",
        "pci", "cgroups", "tuners", "vms", "doubts",
    ]  # fmt: skip
    assert isinstance(picture["topology"], dict)
    assert list(picture["topology"]) == ["present", "cpus", "packages", "dies", "cores", "caches", "nodes"]
    assert isinstance(picture["kvm"], dict)
    assert list(picture["kvm"]) == [
        "accelerator", "usable", "why", "forced", "advice", "checks", "second_level",
        "nested", "modules", "halt_poll_ns",
    ]  # fmt: skip


def test_this_host_is_read_as_lscpu_and_the_kernel_tell_it() -> None:
    facts = host.facts(System())
    fields = json.loads(subprocess.run(["lscpu", "--json"], capture_output=True, check=True).stdout)["lscpu"]
    told = {field["field"].rstrip(":"): field["data"] for field in fields}
    assert len(facts.topology.cpus) == os.cpu_count()
    assert len(facts.topology.present) == int(told["CPU(s)"])
    assert len(facts.topology.packages) == int(told["Socket(s)"])
    assert facts.topology.threads_per_core == int(told["Thread(s) per core"])
    assert facts.cpu.model == told["Model name"]
    assert len(facts.topology.nodes) == int(told["NUMA node(s)"])
    for node in facts.topology.nodes:
        assert parse_list(told[f"NUMA node{node.number} CPU(s)"]) == node.cpus
    assert facts.guest.inside is ("Hypervisor vendor" in told)
    assert facts.kernel == os.uname().release
    assert facts.memory.total == PAGE * os.sysconf("SC_PHYS_PAGES")
    assert facts.kvm == host.kvm(System())


def test_nodes_that_hold_another_memory_than_the_host_are_a_doubt(tmp_path: Path) -> None:
    files = {"/proc/meminfo": "MemTotal: 1000 kB", f"{NODES}/node0/meminfo": "Node 0 MemTotal: 990 kB"}
    assert not read_facts(plant(tmp_path, files)).doubts
    files[f"{NODES}/node0/meminfo"] = "Node 0 MemTotal: 300 kB"
    assert "together" in read_facts(plant(tmp_path, files)).doubts[0]


def test_an_empty_host_has_nothing_and_no_doubts(tmp_path: Path) -> None:
    facts = read_facts(System(tmp_path))
    assert (facts.kernel, facts.thp, facts.ksm, facts.hugepages, facts.disks) == (None, None, None, (), ())
    assert facts.kvm.accelerator == "tcg"
    assert not facts.doubts


def test_swaps_are_bytes(tmp_path: Path) -> None:
    table = "Filename\tType\tSize\tUsed\tPriority\n/dev/vdb  partition\t1024\t\t4\t\t-2\n/swap\\040file file 8 0 5\n"
    memory = read_memory(planted(tmp_path, {"/proc/swaps": table}))
    assert memory.swaps == (Swap("/dev/vdb", "partition", 1 << 20, 4096), Swap("/swap\\040file", "file", 8192, 0))


def test_thp_is_the_word_in_brackets(tmp_path: Path) -> None:
    thp = read_thp(planted(tmp_path, {f"{THP}/enabled": "always [madvise] never"}))
    assert thp is not None
    assert (thp.enabled.value, thp.defrag, thp.shmem) == ("madvise", None, None)


@pytest.mark.parametrize(
    ("files", "saved"),
    [
        ({"pages_sharing": "100", "general_profit": "-8192"}, -8192),
        ({"pages_sharing": "100"}, 100 * PAGE),
        ({}, None),
    ],
)
def test_ksm_saves_what_the_kernel_counts_or_else_the_pages(
    tmp_path: Path, files: dict[str, str], saved: int | None
) -> None:
    ksm = read_ksm(planted(tmp_path, {f"{KSM}/run": "1", **{f"{KSM}/{name}": text for name, text in files.items()}}))
    assert ksm is not None
    assert (ksm.state, ksm.saved) == ("running", saved)


def test_pools_are_sorted_by_page_size_and_strangers_are_left_out(tmp_path: Path) -> None:
    files = {
        f"{POOLS}/hugepages-1048576kB/nr_hugepages": "1",
        f"{POOLS}/hugepages-2048kB/nr_hugepages": "8",
        f"{POOLS}/hugepages-2048kB/free_hugepages": "5",
        f"{POOLS}/hugepages-2048kB/resv_hugepages": "2",
        f"{POOLS}/hugepages-64kB/stats": "",
        f"{POOLS}/other/nr_hugepages": "1",
    }
    assert read_pools(planted(tmp_path, files), POOLS) == (
        HugePages(2 << 20, 8, 5, 2),
        HugePages(1 << 30, 1, None, None),
    )


def test_disks_that_the_kernel_made_in_advance_count_only_when_used(tmp_path: Path) -> None:
    files = {
        f"/sys/block/{name}/size": "8" for name in ("sda", "loop0", "loop1", "loop2", "zram0", "zram1", "ram0", "nbd0")
    }
    files |= {
        "/sys/block/loop0/loop/backing_file": "/srv/a.img",
        "/sys/block/loop1/loop1p1/partition": "1",
        "/sys/block/ram0/holders/dm-0/x": "",
        "/sys/block/sda/queue/scheduler": "[mq-deadline] none",
        "/sys/block/sda/queue/rotational": "1",
        "/proc/mounts": "/dev/loop1p1 /mnt ext4 rw 0 0\nproc /proc proc rw 0 0\n",
        "/proc/swaps": "Filename Type Size Used Priority\n/dev/zram1 partition 4 0 100\n",
    }
    disks = read_disks(planted(tmp_path, files))
    assert [disk.name for disk in disks] == ["loop0", "loop1", "ram0", "sda", "zram1"]
    assert disks[3] == Disk("sda", 4096, rotating=True, scheduler=Choice("mq-deadline", ("mq-deadline", "none")))
    assert disks[0].scheduler is None


@pytest.mark.parametrize(
    ("mounts", "version", "v1", "v2"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "2", (), ("cpu", "memory")),
        (
            "cgroup /c/a cgroup rw,cpu,cpuacct 0 0\ncgroup /c/s cgroup rw,name=systemd 0 0\n",
            "1",
            ("cpu", "cpuacct"),
            (),
        ),
        (
            "cgroup /c/a cgroup rw,cpuset 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n",
            "hybrid",
            ("cpuset",),
            ("cpu", "memory"),
        ),
        ("proc /proc proc rw 0 0\n", "none", (), ()),
    ],
)
def test_control_groups_are_told_by_what_is_mounted(
    tmp_path: Path, mounts: str, version: str, v1: tuple[str, ...], v2: tuple[str, ...]
) -> None:
    files = {"/proc/mounts": mounts, "/sys/fs/cgroup/cgroup.controllers": "memory cpu\n"}
    groups = read_cgroups(planted(tmp_path, files))
    assert (groups.version, groups.v1_controllers, groups.v2_controllers) == (version, v1, v2)


@pytest.mark.parametrize(
    ("cpuinfo", "model", "inside"),
    [
        ("vendor_id : A\nmodel name : A CPU\x1b[2J\nflags : hypervisor\n", "A CPU[2J", True),
        ("vendor_id : A\nmodel name : A CPU\nflags : fpu\n\nvendor_id : B\nflags : hypervisor\n", "A CPU", False),
        ("vendor_id       : IBM/S390\nfeatures\t: esan3 sie\n", None, None),
        ("processor : 0\ncpu : POWER7 (architected)\n", "POWER7 (architected)", None),
    ],
)
def test_the_first_cpu_is_the_model(tmp_path: Path, cpuinfo: str, model: str | None, inside: bool | None) -> None:  # noqa: FBT001  a parameter of the test
    kernel = planted(tmp_path, {"/proc/cpuinfo": cpuinfo})
    cpu = read_cpu(kernel)
    assert (cpu.model, read_guest(kernel, cpu).inside) == (model, inside)
