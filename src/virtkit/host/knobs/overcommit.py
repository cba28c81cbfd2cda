"""How much memory the kernel promises (Documentation/mm/overcommit-accounting.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range, Words

_DOCUMENT = "Documentation/mm/overcommit-accounting.rst"
_PAIR = Evidence("measured", "writing one of the pair made the other 0", "kernel 6.18")

KNOBS = (
    Knob(
        name="vm.overcommit_memory",
        file="/proc/sys/vm/overcommit_memory",
        legal=Words(("0", "1", "2")),
        explain=Says(
            en="0 refuses only what is obviously too much, 1 promises everything, 2 promises no more than"
            " vm.overcommit_ratio or _kbytes allow. For machines 0 is right: what counts is what they touch. 2"
            " is for hosts that must not kill anybody, and only with huge pages left out of the sum.",
            zh="0 只拒绝明显过大的请求；1 来者不拒；2 的承诺不超过 vm.overcommit_ratio 或 _kbytes。虚拟机主机用 0 即"
            "可：真正算数的是触及的内存。2 用于绝不允许 OOM 杀进程的主机，且大页不计入总和。",
        ),
        danger=Says(
            en="2: QEMU with much memory cannot fork any more, and machines do not start although memory is free.",
            zh="2：内存大的 QEMU 无法再 fork，明明有空闲内存，虚拟机也起不来。",
        ),
        evidence=(Evidence(_DOCUMENT),),
    ),
    Knob(
        name="vm.overcommit_ratio",
        file="/proc/sys/vm/overcommit_ratio",
        legal=Range(0, 1000, "%"),
        rival="vm.overcommit_kbytes",
        explain=Says(
            en="How much of the memory (huge pages left out) counts towards the promise while vm.overcommit_memory"
            " is 2; swap comes on top. 50, the default, leaves half of the host unused: with 2 set it near 100.",
            zh="vm.overcommit_memory 为 2 时，内存（不含大页）的百分之多少计入承诺上限，另加交换空间。默认 50 会让半"
            "台主机闲置：用 2 时应接近 100。",
        ),
        evidence=(Evidence(_DOCUMENT), _PAIR),
    ),
    Knob(
        name="vm.overcommit_kbytes",
        file="/proc/sys/vm/overcommit_kbytes",
        legal=Range(0, 1 << 40, "KiB"),
        rival="vm.overcommit_ratio",
        explain=Says(
            en="The same as an amount instead of a share. Setting it makes vm.overcommit_ratio 0, and the other way"
            " round: only one of the two counts.",
            zh="与上一项相同，只是用数量而非比例。设置它会把 vm.overcommit_ratio 清零，反之亦然：两者只有一个生效。",
        ),
        evidence=(Evidence(_DOCUMENT), _PAIR),
    ),
)
