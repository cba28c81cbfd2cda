"""What the kernel does when memory gets short (Documentation/admin-guide/sysctl/vm.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range

_DOCUMENT = "Documentation/admin-guide/sysctl/vm.rst"

KNOBS = (
    Knob(
        name="vm.swappiness",
        file="/proc/sys/vm/swappiness",
        legal=Range(0, 200),
        explain=Says(
            en="How willingly the kernel swaps programs' memory out instead of dropping cached files. A machine"
            " that is swapped stalls without knowing why, so hosts keep it low: 10, or 1 for databases. With"
            " swap in compressed memory (zram, zswap) values above 100 are right. It is not a percentage of"
            " memory.",
            zh="内核有多愿意换出程序内存，而不是丢弃文件缓存。被换出的虚拟机会莫名停顿，因此主机宜低：一般 10，数据"
            "库 1。交换放在压缩内存（zram、zswap）时则应高于 100。它不是内存百分比。",
        ),
        danger=Says(
            en="0 does not turn swap off: the kernel then waits until nearly nothing is left, and kills sooner.",
            zh="0 并不关闭交换：内核会拖到几乎无内存时才换出，更容易触发 OOM。",
        ),
        evidence=(Evidence("tuned 2.28, profile throughput-performance", "10"), Evidence(f"{_DOCUMENT}, swappiness")),
    ),
    Knob(
        name="vm.zone_reclaim_mode",
        file="/proc/sys/vm/zone_reclaim_mode",
        legal=Range(0, 7),
        explain=Says(
            en="Whether a node that is full drops its cache before it takes memory of another node. 0 lets it take"
            " from the other node, which nearly always is faster than reading the files again. Leave it at 0,"
            " for machines that are bound to nodes, too.",
            zh="某节点内存用满时，是否先丢掉本节点缓存，再去借用别的节点。0 表示直接借用，几乎总比重新读文件快。请保"
            "持 0，虚拟机绑定节点时也一样。",
        ),
        evidence=(
            Evidence(
                "Linux commit 4f9b16a6",
                "off by default since: 'major performance degradation' of workloads that are not bound to nodes",
            ),
            Evidence(f"{_DOCUMENT}, zone_reclaim_mode"),
        ),
    ),
    Knob(
        name="vm.compaction_proactiveness",
        file="/proc/sys/vm/compaction_proactiveness",
        legal=Range(0, 100),
        explain=Says(
            en="How hard the kernel works in the background to keep memory in large pieces. 20, the default, helps"
            " machines get huge pages at their start. 0 for real time, where the moving of pages disturbs and"
            " the huge pages come from a pool.",
            zh="内核在后台多积极地把内存整理成大块。默认 20，有助于虚拟机启动时拿到大页。实时主机设 0：搬移页面会造"
            "成干扰，而大页来自预留池。",
        ),
        evidence=(
            Evidence(f"{_DOCUMENT}, compaction_proactiveness"),
            Evidence("measured", "changed, read back and put back", "kernel 6.18"),
        ),
    ),
    Knob(
        name="vm.min_free_kbytes",
        file="/proc/sys/vm/min_free_kbytes",
        legal=Range(1024, 1 << 30, "KiB"),
        explain=Says(
            en="What is kept free for those who cannot wait, such as network drivers. More avoids dropped packets"
            " on hosts with cards above 10 Gbit/s; the kernel reclaims earlier for it. 1 % of the memory is much"
            " already.",
            zh="为不能等待的使用者（如网卡驱动）保留多少空闲内存。网卡高于 10 Gbit/s 的主机适当加大可避免丢包，但内"
            "核会更早回收。达到内存的 1 % 已经很多。",
        ),
        danger=Says(
            en="Too much of it leaves nothing for programs: the host kills them at once.",
            zh="设得过大，程序就没有内存可用：主机会立刻 OOM 杀进程。",
        ),
        evidence=(Evidence(f"{_DOCUMENT}, min_free_kbytes", "setting it too high will OOM the machine instantly"),),
    ),
)
