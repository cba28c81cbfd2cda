"""KSM: like pages of different machines are kept once (Documentation/admin-guide/mm/ksm.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Bracketed, Range, Switch, Words
from virtkit.host.merged import lack_of_room

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

_FOLDER = "/sys/kernel/mm/ksm"
_DOCUMENT = "Documentation/admin-guide/mm/ksm.rst"
_TWINS = "two like guests of 256 MiB, 25 s, pages_to_scan 20000, kernel 6.18"
_MOST = (1 << 31) - 1


def _still_merged(kernel: Kernel, place: str, wanted: str) -> str:
    """The kernel says EBUSY: its trees of merged pages are of one kind or the other."""
    shared = kernel.number(f"{_FOLDER}/pages_shared")
    return (
        f"{shared} pages are merged, and the kernel changes this only while none is: first set ksm.run=2"
        if shared
        else ""
    )


def _no_room(kernel: Kernel, place: str, wanted: str) -> str:
    return lack_of_room(kernel) if wanted == "2" else ""


KNOBS = (
    Knob(
        name="ksm.run",
        file=f"{_FOLDER}/run",
        legal=Words(("0", "1", "2")),
        refusal=_no_room,
        explain=Says(
            en="1 merges like pages of machines, 0 stops and leaves merged what is merged, 2 stops and takes"
            " everything apart. It is for density: many machines of one image, on a host that is short of"
            " memory. It costs CPU time, splits the huge pages of what it merges, and they do not come back."
            " Hosts for databases and real time keep it at 2.",
            zh="1 合并各虚拟机中相同的页；0 停止，但已合并的保持合并；2 停止并全部拆开。它换来的是密度：同一镜像的许"
            "多虚拟机、内存紧张的主机。代价是 CPU 时间，并且会把大页拆开，拆开后不再恢复。数据库和实时主机应为 2"
            "。",
        ),
        danger=Says(
            en="A guest can tell by the time of a write whether another guest holds the same page: off where"
            " tenants do not trust each other.",
            zh="客户机能凭写入耗时判断别的客户机是否有相同页：租户互不信任时应关闭。",
        ),
        evidence=(
            Evidence(
                "measured",
                "PSS 209 -> 164 and 206 -> 145 MB without THP; with THP 240 MB saved and huge pages 212 -> 80"
                " and 218 -> 94 MB",
                _TWINS,
            ),
            Evidence("measured", "after 0 still 325 MB merged, after 2 none", _TWINS),
            Evidence("Proxmox VE wiki, Kernel Samepage Merging", "names the side channel"),
        ),
    ),
    Knob(
        name="ksm.advisor_mode",
        file=f"{_FOLDER}/advisor_mode",
        legal=Bracketed(),
        resets=("ksm.pages_to_scan",),
        explain=Says(
            en="With scan-time the kernel itself finds out how many pages to look at, so that all are seen within"
            " advisor_target_scan_time and no more than advisor_max_cpu of a CPU is taken. Better than ksmtuned,"
            " whose search for QEMU's processes does not find those that libvirt starts. Kernels since 6.8 have"
            " it.",
            zh="设为 scan-time 时，内核自己决定每次看多少页：在 advisor_target_scan_time 内看完一遍，且不超过 adviso"
            "r_max_cpu 的 CPU。它胜过 ksmtuned——后者查找 QEMU 进程的方式找不到 libvirt 启动的进程。6.8 起的内核才"
            "有。",
        ),
        evidence=(
            Evidence(f"{_DOCUMENT}, advisor_mode"),
            Evidence(
                "measured",
                "pgrep as ksmtuned does it finds no process beside a running libvirt machine",
                "ksmtuned 4.20150326, Debian 12",
            ),
        ),
    ),
    Knob(
        name="ksm.advisor_target_scan_time",
        file=f"{_FOLDER}/advisor_target_scan_time",
        legal=Range(1, 86_400, "s"),
        explain=Says(
            en="Within how many seconds the advisor wants to have seen every page once. Shorter finds like pages"
            " sooner and takes more CPU time; 200, the default, is good for machines that live for hours.",
            zh="顾问希望多少秒内把所有页看一遍。越短，越早发现相同页，CPU 也用得越多；默认 200 秒适合存活数小时以上"
            "的虚拟机。",
        ),
        evidence=(Evidence(f"{_DOCUMENT}, advisor_target_scan_time"),),
    ),
    Knob(
        name="ksm.advisor_max_cpu",
        file=f"{_FOLDER}/advisor_max_cpu",
        legal=Range(1, 100, "% of one CPU"),
        explain=Says(
            en="What the advisor may take of one CPU at most. The default, 70, is much for a host with few CPUs: 20"
            " is enough there, and merges more slowly.",
            zh="顾问最多可占用一个 CPU 的百分之多少。默认 70 对 CPU 少的主机偏高：那里 20 就够，只是合并得慢些。",
        ),
        evidence=(Evidence(f"{_DOCUMENT}, advisor_max_cpu"),),
    ),
    Knob(
        name="ksm.pages_to_scan",
        file=f"{_FOLDER}/pages_to_scan",
        legal=Range(0, _MOST, "pages"),
        needs=("ksm.advisor_mode", "none"),
        explain=Says(
            en="How many pages ksmd looks at before it sleeps. 100, the default, takes hours for a host of"
            " machines; thousands merge within minutes and take a tenth of a CPU and more. While the advisor is"
            " on it sets this itself, and the kernel refuses others.",
            zh="ksmd 每次睡眠前查看多少页。默认 100 对满载虚拟机的主机要几小时；几千页则几分钟内见效，占用十分之一个"
            " CPU 以上。顾问开启时由顾问设置，内核拒绝他人写入。",
        ),
        evidence=(
            Evidence("measured", "2.57 s of CPU time in 25 s", _TWINS),
            Evidence("measured", "EINVAL while the advisor is on, which then sets 500", "kernel 6.18"),
        ),
    ),
    Knob(
        name="ksm.sleep_millisecs",
        file=f"{_FOLDER}/sleep_millisecs",
        legal=Range(0, _MOST, "ms"),
        explain=Says(
            en="How long ksmd sleeps between two rounds. ksmtuned makes it shorter the more memory there is; with"
            " the advisor leave it at 20 and set the target time instead.",
            zh="ksmd 两轮之间睡多久。ksmtuned 会随内存增大而缩短它；使用顾问时保持 20，改设目标时间即可。",
        ),
        evidence=(Evidence(f"{_DOCUMENT}, sleep_millisecs"),),
    ),
    Knob(
        name="ksm.merge_across_nodes",
        file=f"{_FOLDER}/merge_across_nodes",
        legal=Switch(),
        refusal=_still_merged,
        explain=Says(
            en="1 keeps one copy for all NUMA nodes, so machines of other nodes read it from afar; 0 keeps one in"
            " each node. On a host of several nodes 0 costs some of the savings and no speed.",
            zh="1 表示所有 NUMA 节点只留一份，其他节点的虚拟机要远程读取；0 表示每个节点各留一份。多节点主机选 0：少"
            "省一点内存，但不损失速度。",
        ),
        evidence=(Evidence(f"{_DOCUMENT}, merge_across_nodes"),),
    ),
    Knob(
        name="ksm.max_page_sharing",
        file=f"{_FOLDER}/max_page_sharing",
        legal=Range(2, _MOST, "pages"),
        refusal=_still_merged,
        explain=Says(
            en="How many pages may stand behind one merged page. Without a bound the kernel would walk through all"
            " of them to move or swap one page, and stall for as long. 256, the default, is a good one.",
            zh="一个合并页最多代表多少页。若无上限，内核为搬移或换出一页要遍历全部映射，停顿同样长。默认 256 即可。",
        ),
        evidence=(Evidence(f"{_DOCUMENT}, max_page_sharing"),),
    ),
)
