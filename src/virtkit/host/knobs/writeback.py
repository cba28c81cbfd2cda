"""How much written data may wait in the page cache (Documentation/admin-guide/sysctl/vm.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range

_DOCUMENT = Evidence("Documentation/admin-guide/sysctl/vm.rst, dirty_bytes")
_PAIR = Evidence(
    "measured", "writing one of the pair made the other 0; writing 0 back was refused with EINVAL", "kernel 6.18"
)
_UNDO = Evidence("tuned pull requests 688, 792 and 882", "three attempts to restore this pair")
_MOST = 1 << 50

KNOBS = (
    Knob(
        name="vm.dirty_bytes",
        file="/proc/sys/vm/dirty_bytes",
        legal=Range(8192, _MOST, "bytes"),
        rival="vm.dirty_ratio",
        explain=Says(
            en="When this much written data waits in memory, who writes more has to help and wait. On a host of"
            " much memory a share is gigabytes, and one machine's flush stands in the queue behind them: give an"
            " amount that the disk writes in a second or two, for example 256M for a hard disk, 1G for flash."
            " Machines with cache=none do not go through here.",
            zh="内存中待写数据达到这个量时，继续写的一方必须帮忙落盘并等待。大内存主机上按比例就是好几 GB，某台虚拟"
            "机的刷盘要排在它们之后：应设成磁盘一两秒能写完的量，例如机械盘 256M、闪存 1G。cache=none 的虚拟机不"
            "经过这里。",
        ),
        evidence=(_DOCUMENT, _PAIR, _UNDO),
    ),
    Knob(
        name="vm.dirty_background_bytes",
        file="/proc/sys/vm/dirty_background_bytes",
        legal=Range(4096, _MOST, "bytes"),
        rival="vm.dirty_background_ratio",
        explain=Says(
            en="From this much waiting data on the kernel writes in the background, and nobody waits yet. A quarter"
            " of vm.dirty_bytes keeps the disk busy early and evenly.",
            zh="待写数据达到这个量时，内核开始后台写出，此时还没有人需要等待。取 vm.dirty_bytes 的四分之一，可让磁盘"
            "早些、平稳地忙起来。",
        ),
        evidence=(_DOCUMENT, _PAIR, Evidence("tuned 2.28, profile virtual-host", "5 % of the memory")),
    ),
    Knob(
        name="vm.dirty_ratio",
        file="/proc/sys/vm/dirty_ratio",
        legal=Range(0, 100, "% of available memory"),
        rival="vm.dirty_bytes",
        explain=Says(
            en="vm.dirty_bytes as a share of the memory that is available. 20, the default, is 50 GB on a host of"
            " 256 GB: far too much for one slow disk. Prefer the amount.",
            zh="以可用内存的比例表示的 vm.dirty_bytes。默认 20，在 256 GB 的主机上就是约 50 GB，对一块慢盘太多。宁可"
            "用字节数。",
        ),
        evidence=(_DOCUMENT, _PAIR, _UNDO),
    ),
    Knob(
        name="vm.dirty_background_ratio",
        file="/proc/sys/vm/dirty_background_ratio",
        legal=Range(0, 100, "% of available memory"),
        rival="vm.dirty_background_bytes",
        explain=Says(
            en="vm.dirty_background_bytes as a share of the memory that is available; 10 by default. It must stay"
            " below vm.dirty_ratio, or the kernel halves it.",
            zh="以可用内存的比例表示的 vm.dirty_background_bytes，默认 10。它必须低于 vm.dirty_ratio，否则内核按其一"
            "半处理。",
        ),
        evidence=(_DOCUMENT, _PAIR),
    ),
)
