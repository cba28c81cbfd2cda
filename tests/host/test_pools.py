from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host.imitation import Imitation
from host.trees import plant
from virtkit import host
from virtkit.core import engine
from virtkit.core.errors import NotSupportedError, RolledBackError, UsageError
from virtkit.core.journal import Journal
from virtkit.core.units import GIB, MIB
from virtkit.host import pools
from virtkit.host.holders import Held, read_holders
from virtkit.host.kernel import Kernel
from virtkit.recipes.hugepages import Stock, stocks
from virtkit.vm.backing import HugeClaim

if TYPE_CHECKING:
    from pathlib import Path

NODES, WHOLE = "/sys/devices/system/node", "/sys/kernel/mm/hugepages/hugepages-2048kB"
NUMA_MAPS = """\
7f00 default file=/usr/bin/qemu mapped=9 N0=9 kernelpagesize_kB=4
7f10 bind:1 file=/dev/hugepages/libvirt/qemu/1-web1/x huge anon=600 dirty=600 N0=88 N1=512 kernelpagesize_kB=2048
7f20 default file=/anon_hugepage\\040(deleted) huge anon=1 dirty=1 N1=1 kernelpagesize_kB=1048576
7f30 default file=/anon_hugepage\\040(deleted) huge
7f40 default anon=512 dirty=512 N1=512 kernelpagesize_kB=2048
"""


def folder(node: int, kib: int = 2048) -> str:
    return f"{NODES}/node{node}/hugepages/hugepages-{kib}kB"


def pool(node: int, total: int, free: int) -> dict[str, str]:
    return {f"{folder(node)}/nr_hugepages": str(total), f"{folder(node)}/free_hugepages": str(free)}


def memory(node: int, free: int) -> dict[str, str]:
    return {f"{NODES}/node{node}/meminfo": f"Node {node} MemTotal: 8388608 kB\nNode {node} MemFree: {free} kB\n"}


FILES = {
    "/proc/meminfo": "MemTotal: 16777216 kB\nMemAvailable: 8388608 kB\n",
    "/usr/lib/tmpfiles.d/x11.conf": "",
    f"{NODES}/online": "0-1",
    f"{NODES}/node0/cpumap": "3",
    f"{NODES}/node1/cpumap": "c",
    f"{WHOLE}/nr_hugepages": "900",
    f"{WHOLE}/free_hugepages": "212",
    f"{WHOLE}/resv_hugepages": "10",
    **memory(0, free=2097152),
    **memory(1, free=2097152),
    **pool(0, total=100, free=12),
    **pool(1, total=800, free=200),
    "/proc/77/comm": "qemu-system-x86",
    "/proc/77/cmdline": "qemu-system-x86_64\0-name\0guest=web1\0",
    "/proc/77/task/77/status": "Name:\tCPU 0/KVM\nCpus_allowed_list:\t0-1\n",
    "/proc/77/status": "Name:\tqemu-system-x86\nHugetlbPages:\t 1228800 kB\n",
    "/proc/77/numa_maps": NUMA_MAPS,
    "/proc/78/comm": "dpdk",
    "/proc/78/status": "HugetlbPages:\t 8 kB\n",
    "/proc/79/comm": "bash",
    "/proc/79/status": "HugetlbPages:\t 0 kB\n",
}


@dataclass(frozen=True)
class Stingy(Imitation):
    """Says yes to every count, and finds memory for so many."""

    finds: dict[str, int] = field(default_factory=dict)

    def _take(self, absolute: str, text: str) -> None:
        super()._take(absolute, str(min(int(text), self.finds.get(absolute, 1 << 30))))


@pytest.fixture
def system(tmp_path: Path) -> Stingy:
    plant(tmp_path, FILES)
    return Stingy(tmp_path, finds={f"{folder(0)}/nr_hugepages": 229})


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal")


def counts(system: Stingy) -> list[str]:
    return [system.read(f"{folder(node)}/nr_hugepages") for node in (0, 1)]


def test_who_holds_pages_is_told_by_node_and_size(system: Stingy) -> None:
    """A mapping of transparent huge pages is none of a pool, and one that nobody touched holds nothing."""
    web1, dpdk = read_holders(Kernel(system))
    assert (web1.name, web1.machine, dpdk.name, dpdk.machine) == ("web1", True, "dpdk", False)
    assert web1.held == (Held(0, 2 * MIB, 88), Held(1, 2 * MIB, 512), Held(1, GIB, 1))
    assert dpdk.held == ()


def test_each_pool_names_its_users(system: Stingy) -> None:
    found = [(one.node, one.size, one.in_use, [who.name for who in one.holders]) for one in pools.read(system)]
    assert found == [(0, 2 * MIB, 88, ["web1"]), (1, 2 * MIB, 600, ["web1"])]


def test_pages_go_to_the_node_and_the_file_of_the_whole_host_is_left_alone(system: Stingy, journal: Journal) -> None:
    number = engine.run(host.set_hugepages(system, 2 * MIB, 900, 1), system, journal)
    assert counts(system) == ["100", "900"]
    assert system.written == [(f"{folder(1)}/nr_hugepages", "900")]
    assert "node1/hugepages/hugepages-2048kB/nr_hugepages - - - - 900" in system.read(
        "/etc/tmpfiles.d/60-virtkit-hugetlb.conf"
    )
    assert not host.set_hugepages(system, 2 * MIB, 900, 1)
    engine.undo(journal, number, system)
    assert counts(system) == ["100", "800"]


def test_where_the_kernel_says_yes_and_gives_less_the_old_count_comes_back(system: Stingy, journal: Journal) -> None:
    with pytest.raises(RolledBackError, match="the kernel took it and says 229, expected 400; everything was put back"):
        engine.run(host.set_hugepages(system, 2 * MIB, 400, 0, persistent=False), system, journal)
    assert counts(system) == ["100", "800"]


def test_more_than_the_node_can_spare_is_refused_before_anything_is_written(system: Stingy) -> None:
    """2 GiB are free there, of which 5 % of the node's 8 GiB stay with the host: 1638.4 MiB, 819 pages."""
    assert host.set_hugepages(system, 2 * MIB, 100 + 819, 0, persistent=False)
    with pytest.raises(NotSupportedError, match="at most 919 pages"):
        host.set_hugepages(system, 2 * MIB, 100 + 820, 0)
    assert not system.written


def test_pages_in_use_are_not_taken_and_their_user_is_named(system: Stingy) -> None:
    with pytest.raises(UsageError, match="node 1: 600 pages of 2 MiB are in use by web1, expected at most 599"):
        host.set_hugepages(system, 2 * MIB, 599, 1)
    assert host.set_hugepages(system, 2 * MIB, 599, 1, run_time=False)


def test_the_node_has_to_be_named_where_there_are_several(system: Stingy) -> None:
    with pytest.raises(UsageError, match="this host has nodes 0, 1"):
        host.set_hugepages(system, 2 * MIB, 1, None)
    with pytest.raises(UsageError, match="node is 2, expected one of 0, 1"):
        host.set_hugepages(system, 2 * MIB, 1, 2)
    with pytest.raises(NotSupportedError, match="size is 1 GiB, this host has 2 MiB"):
        host.set_hugepages(system, GIB, 1, 0)


def test_what_is_free_is_given_back_but_what_is_promised(system: Stingy, journal: Journal) -> None:
    """10 pages are promised to a process that has not touched them; nobody knows of which node they will be."""
    plan = host.free_hugepages(system)
    assert plan.lines() == ["~ hugepages.2M@0: 100 -> 98", "~ hugepages.2M@1: 800 -> 600"]
    assert host.free_hugepages(system, 1).lines() == plan.lines()[1:]
    number = engine.run(plan, system, journal)
    assert counts(system) == ["98", "600"]
    engine.undo(journal, number, system)
    assert counts(system) == ["100", "800"]


def test_a_pool_that_comes_at_every_boot_is_given_back_for_good(system: Stingy, journal: Journal) -> None:
    engine.run(host.set_hugepages(system, 2 * MIB, 850, 1), system, journal)
    assert [one.at_boot for one in pools.read(system)] == [None, 850]
    plan = host.free_hugepages(system, 1)
    assert [line.partition(":")[0] for line in plan.lines()] == [
        "~ hugepages.2M@1", "~ /etc/tmpfiles.d/60-virtkit-hugetlb.conf",
    ]  # fmt: skip


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_a_page_is_stranded_or_lacking_and_never_both(spare: int, reserved: int, wanted: int) -> None:
    stock = Stock(2 * MIB, spare + reserved, reserved, wanted)
    assert not (stock.stranded and stock.short)
    assert stock.stranded - stock.short == spare - wanted


def test_pages_wait_for_machines_that_are_off_and_for_their_own_size(system: Stingy) -> None:
    claims = [
        HugeClaim("off", active=False, size=2 * MIB, memory=129 * MIB),
        HugeClaim("on", active=True, size=2 * MIB, memory=900 * MIB),
        HugeClaim("large", active=False, size=GIB, memory=3 * GIB),
    ]
    (stock,) = stocks(pools.read(system), claims, pools.reserved(system))
    assert stock == Stock(2 * MIB, free=212, reserved=10, wanted=65)
    assert (stock.stranded, stock.short) == (137, 0)
