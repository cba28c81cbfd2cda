"""Whether the kernel moves memory to who uses it (Documentation/admin-guide/sysctl/kernel.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range

KNOBS = (
    Knob(
        name="kernel.numa_balancing",
        file="/proc/sys/kernel/numa_balancing",
        legal=Range(0, 3),
        explain=Says(
            en="1 lets the kernel find out by page faults who uses which memory, and move both together: good for"
            " machines that float over several nodes. 0 for machines that are bound to nodes and CPUs: there is"
            " nothing to find out, and the faults are jitter. 2 is for tiered memory, 3 for both.",
            zh="1 让内核通过缺页了解谁在用哪块内存，并把两者移到一起：适合在多个节点间浮动的虚拟机。虚拟机已绑定节点"
            "和 CPU 时设 0：没有什么可探查，缺页只会带来抖动。2 用于分层内存，3 为两者兼用。",
        ),
        evidence=(
            Evidence("tuned 2.28, profiles network-latency and cpu-partitioning", "0"),
            Evidence("Documentation/admin-guide/sysctl/kernel.rst, numa_balancing"),
        ),
    ),
)
