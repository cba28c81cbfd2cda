"""Which CPUs serve the interrupts (Documentation/core-api/irq/irq-affinity.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.knob import Evidence, Knob, Says, Scope
from virtkit.host.legal import Cpus

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel

_DOCUMENT = Evidence("Documentation/core-api/irq/irq-affinity.rst")


def _served(kernel: Kernel, place: str) -> int | None:
    """How often it came, on all CPUs together: the numbers behind ``24:`` in /proc/interrupts."""
    for line in (kernel.text("/proc/interrupts") or "").splitlines():
        words = line.split()
        if words and words[0] == f"{place}:":
            return sum(int(word) for word in words[1:] if word.isdecimal())
    return None


KNOBS = (
    Knob(
        name="irq.affinity",
        file="/proc/irq/{place}/smp_affinity_list",
        effective="/proc/irq/{place}/effective_affinity_list",
        legal=Cpus(),
        scope=Scope.IRQ,
        counter=_served,
        explain=Says(
            en="On which CPUs this interrupt may be served. Keep those of cards and disks off the CPUs that"
            " machines have for themselves, and on the node of the device. What counts is the CPU that the"
            " controller really uses, one of those allowed. irqbalance moves interrupts on its own: stop it, or"
            " tell it which CPUs are banned.",
            zh="该中断可由哪些 CPU 处理。网卡和磁盘的中断应避开虚拟机独占的 CPU，并留在设备所在节点。真正算数的是控"
            "制器实际选用的那个 CPU（在允许范围内）。irqbalance 会自行移动中断：要么停掉，要么告诉它禁用哪些 CPU"
            "。",
        ),
        danger=Says(
            en="Interrupts that the kernel manages itself (NVMe and other queues) refuse; some controllers change"
            " over with the next interrupt only.",
            zh="由内核自行管理的中断（NVMe 等多队列）会拒绝写入；有些控制器要到下一次中断才切换。",
        ),
        evidence=(
            _DOCUMENT,
            Evidence("measured", "18 of 19 could be written, one said EPERM", "kernel 6.18"),
            Evidence("tuned pull request 364", "through the IO-APIC it takes effect with the next interrupt"),
        ),
    ),
    Knob(
        name="irq.default_affinity",
        file="/proc/irq/default_smp_affinity",
        legal=Cpus(mask=True),
        parameter="irqaffinity={value}",
        explain=Says(
            en="On which CPUs interrupts that are set up from now on are served; those that exist stay. Together"
            " with the kernel's irqaffinity= it keeps new devices off the CPUs of real-time machines.",
            zh="今后新建的中断由哪些 CPU 处理；已有的不变。配合内核参数 irqaffinity=，可让新设备避开实时虚拟机的 CPU。",
        ),
        evidence=(_DOCUMENT, Evidence("tuned 2.28, profile realtime-virtual-host", "irqaffinity=")),
    ),
)
