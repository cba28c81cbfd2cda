"""What the kernel does by the clock on every CPU (Documentation/admin-guide/kernel-per-CPU-kthreads.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range, Switch

_TUNED = "tuned 2.28, profile cpu-partitioning"

KNOBS = (
    Knob(
        name="vm.stat_interval",
        file="/proc/sys/vm/stat_interval",
        legal=Range(1, 3600, "s"),
        explain=Says(
            en="How often each CPU adds up its memory counters. 10 instead of 1 disturbs real-time machines less"
            " often; /proc/meminfo is then a little older. Nobody else notices.",
            zh="每个 CPU 多久汇总一次内存计数。由 1 改为 10，对实时虚拟机的打扰更少；/proc/meminfo 会稍旧一点。其他"
            "人无感。",
        ),
        evidence=(Evidence(_TUNED, "10"), Evidence("Documentation/admin-guide/sysctl/vm.rst, stat_interval")),
    ),
    Knob(
        name="kernel.timer_migration",
        file="/proc/sys/kernel/timer_migration",
        legal=Switch(),
        explain=Says(
            en="1 moves timers from idle CPUs to busy ones, so that the idle ones sleep longer. 0 leaves them where"
            " they were set, so that a CPU set aside for a machine gets no timers of others. 1 everywhere but"
            " for real time.",
            zh="1 把空闲 CPU 上的定时器移到忙碌的 CPU，让空闲者睡得更久。0 让定时器留在原处，这样专供虚拟机的 CPU 不"
            "会收到别人的定时器。除实时外都用 1。",
        ),
        evidence=(Evidence(_TUNED, "0"),),
    ),
    Knob(
        name="kernel.nmi_watchdog",
        file="/proc/sys/kernel/nmi_watchdog",
        legal=Switch(),
        parameter="nmi_watchdog={value}",
        explain=Says(
            en="The watchdog interrupts each CPU to see that it does not hang, and takes one hardware counter for"
            " it. 0 gives the counter to perf in the guest and spares real-time machines the interrupt.",
            zh="看门狗定期中断每个 CPU 以检查是否卡死，并占用一个硬件计数器。0 把计数器让给客户机里的 perf，也免去实"
            "时虚拟机的中断。",
        ),
        danger=Says(
            en="Without it a CPU that hangs with interrupts off leaves no trace in the log.",
            zh="关闭后，CPU 在关中断状态下卡死不会在日志中留下痕迹。",
        ),
        evidence=(
            Evidence(_TUNED, "0"),
            Evidence("measured", "EPERM as root in a virtual machine without the counters", "kernel 6.18"),
        ),
    ),
)
