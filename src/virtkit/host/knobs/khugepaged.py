"""The thread that makes huge pages of memory that is in use (Documentation/admin-guide/mm/transhuge.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range, Switch

_FOLDER = "/sys/kernel/mm/transparent_hugepage/khugepaged"
_DOCUMENT = Evidence("Documentation/admin-guide/mm/transhuge.rst, section on khugepaged")
_HERE = Evidence("measured", "changed, read back and put back", "kernel 6.18")
_PAGES = 1 << 31

KNOBS = (
    Knob(
        name="khugepaged.defrag",
        file=f"{_FOLDER}/defrag",
        legal=Switch(),
        explain=Says(
            en="Whether the thread compacts memory when it finds no free huge page to copy into. Without it a host"
            " whose memory is fragmented never gets its huge pages back. The work is done in the background, so"
            " machines do not wait for it, but it takes CPU time and moves pages.",
            zh="找不到空闲大页可供搬入时，该线程是否先做内存规整。关闭后，内存碎片化的主机再也得不到大页。规整在后台"
            "进行，虚拟机不必等待，但会占用 CPU 并搬移页面。",
        ),
        evidence=(_DOCUMENT, _HERE),
    ),
    Knob(
        name="khugepaged.max_ptes_none",
        file=f"{_FOLDER}/max_ptes_none",
        legal=Range(0, 511, "pages"),
        explain=Says(
            en="How many of the 512 small pages of a huge one may be untouched when the thread joins them. 511, the"
            " default, makes a huge page of one touched page, so memory that a machine gave back through its"
            " balloon, or that KSM merged, is taken again. 0 joins only what is in use: choose it beside KSM and"
            " on hosts that promise more memory than they have.",
            zh="合并成一个大页时，512 个小页里最多允许多少个尚未触及。默认 511 表示只要触及一页就凑成大页，于是虚拟"
            "机通过气球归还的内存、或 KSM 已合并的内存会被重新占用。0 只合并确实在用的页：与 KSM 并用、或内存超分"
            "的主机宜选 0。",
        ),
        evidence=(
            _DOCUMENT,
            Evidence(
                "measured",
                "KSM split 60 % of the huge pages of two machines; they did not come back",
                "two like guests, 25 s of KSM",
            ),
        ),
    ),
    Knob(
        name="khugepaged.pages_to_scan",
        file=f"{_FOLDER}/pages_to_scan",
        legal=Range(1, _PAGES, "pages"),
        explain=Says(
            en="How many small pages the thread looks at before it sleeps. More makes huge pages of a machine's"
            " memory sooner after its start, and takes more of one CPU. With the defaults (4096 pages each 10 s)"
            " 64 GiB take over 11 hours.",
            zh="该线程每次睡眠之前查看多少个小页。数值越大，虚拟机启动后越快换成大页，占用的单核 CPU 也越多。按默认"
            "值（每 10 秒 4096 页），64 GiB 需要 11 个多小时。",
        ),
        evidence=(_DOCUMENT, _HERE),
    ),
    Knob(
        name="khugepaged.scan_sleep_millisecs",
        file=f"{_FOLDER}/scan_sleep_millisecs",
        legal=Range(0, 86_400_000, "ms"),
        explain=Says(
            en="How long the thread sleeps between two rounds. Shorter makes huge pages sooner; 0 lets it run"
            " without a pause on one CPU, which is good for a measurement and for nothing else.",
            zh="该线程两轮之间睡多久。越短，大页形成得越快；0 表示在一个 CPU 上不停运行，只适合做测量，不适合日常。",
        ),
        evidence=(_DOCUMENT, _HERE),
    ),
)
