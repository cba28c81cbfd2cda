"""Pools of huge pages, set aside for who asks for them by name (Documentation/admin-guide/mm/hugetlbpage.rst).

By node, and never through the one file for the whole host: that spreads the pages as it likes, and takes from a node
what was set there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.units import MIB, format_size
from virtkit.host.hugepages import room
from virtkit.host.knob import Evidence, Knob, Says, Scope
from virtkit.host.legal import Range

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

_POOL = "/sys/devices/system/node/node{place}/hugepages/hugepages-%dkB/nr_hugepages"
_MOST = 1 << 31
_LESS = Evidence(
    "measured",
    "4000 pages asked of a node: write says yes, the node has 229; 40 for the host moved node 1's pages to node 0",
    "kernel 6.1, two nodes",
)
_WALK = Evidence(
    "measured",
    "341, 403, 335 ns a step with 4 KiB pages; 231, 195, 174 ns from the pool",
    "random walk of 1 GiB by one thread, 3 rounds, 2 CPUs, kernel 6.18",
)
_DANGER = Says(
    en="The memory is gone for everything else, whether a machine uses it or not; it can be neither swapped, merged"
    " nor ballooned. The kernel gives what it finds and says that all went well.",
    zh="这部分内存不论虚拟机用不用都归池所有，无法换出、合并或气球回收。内核只给它找得到的数量，却照样返回成功。",
)


def _beyond_memory(kernel: Kernel, place: str, wanted: str, size: int) -> str:
    """More than the node can spare: 40000 pages took 14.6 GB of a running host at once."""
    now = kernel.number(_POOL.replace("{place}", place) % (size // 1024)) or 0
    more, spare = (int(wanted) - now) * size, room(kernel, int(place))
    if spare is None or more <= max(spare, 0):
        return ""
    most, spared = now + max(spare, 0) // size, format_size(max(spare, 0))
    return f"{format_size(more)} more are asked of node {place}, which can spare {spared}: at most {most} pages"


def _of_2m(kernel: Kernel, place: str, wanted: str) -> str:
    return _beyond_memory(kernel, place, wanted, 2 * MIB)


def _of_1g(kernel: Kernel, place: str, wanted: str) -> str:
    return _beyond_memory(kernel, place, wanted, 1024 * MIB)


KNOBS = (
    Knob(
        name="hugepages.2M",
        file=_POOL % 2048,
        legal=Range(0, _MOST, "pages"),
        scope=Scope.NODE,
        refusal=_of_2m,
        explain=Says(
            en="How many pages of 2 MiB this node sets aside for machines whose XML asks for huge pages. Such a"
            " machine has the shortest page walks, never waits for memory, and never shares or swaps it. Set"
            " them early, best at boot, while memory is in one piece, and just as many as the machines need:"
            " what is left over is lost to everybody.",
            zh="该节点为在 XML 中要求大页的虚拟机预留多少个 2 MiB 页。这样的虚拟机页表查找最短，不等内存，也不共享、"
            "不换出。应尽早设置，最好在开机、内存尚未碎片化时，数量恰好够虚拟机使用：多出来的谁也用不到。",
        ),
        danger=_DANGER,
        evidence=(_WALK, _LESS),
    ),
    Knob(
        name="hugepages.1G",
        file=_POOL % 1048576,
        legal=Range(0, _MOST, "pages"),
        scope=Scope.NODE,
        refusal=_of_1g,
        explain=Says(
            en="The same with pages of 1 GiB, for large machines that must not miss the TLB: real time, packet"
            " forwarding, big databases. While the host runs, the kernel seldom finds 1 GiB in one piece; on the"
            " kernel's command line (hugepagesz=1G hugepages=N) it always does.",
            zh="同上，但页为 1 GiB，供不能容忍 TLB 未命中的大虚拟机使用：实时、转发、大型数据库。主机运行中内核很难"
            "找到连续 1 GiB；写在内核命令行（hugepagesz=1G hugepages=N）则总能得到。",
        ),
        danger=_DANGER,
        evidence=(
            Evidence("measured", "one page of 1 GiB at run time was given", "24 GiB, shortly after boot, kernel 6.18"),
            Evidence("Documentation/admin-guide/kernel-parameters.txt, hugepages="),
        ),
    ),
    Knob(
        name="vm.nr_overcommit_hugepages",
        file="/proc/sys/vm/nr_overcommit_hugepages",
        legal=Range(0, _MOST, "pages"),
        explain=Says(
            en="How many huge pages beyond the pool the kernel may make when a program asks. Keep it at 0: a"
            " machine would start on pages that the host finds today and not tomorrow, and is killed with SIGBUS"
            " when it touches one that cannot be made.",
            zh="池用尽后，内核还可以临时再造多少个大页。请保持 0：否则虚拟机今天能凭临时找到的页启动，明天却不行；触"
            "及造不出的页时会被 SIGBUS 杀死。",
        ),
        evidence=(Evidence("Documentation/admin-guide/mm/hugetlbpage.rst, nr_overcommit_hugepages"),),
    ),
)
