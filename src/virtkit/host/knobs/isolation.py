"""CPUs that the kernel leaves alone, for machines that nothing may disturb; all of it from the next boot on."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Risk, Says
from virtkit.host.legal import Cpus, Given

_PARAMETERS = "Documentation/admin-guide/kernel-parameters.txt"
_LIBVIRT = Evidence(
    "libvirt knowledge base, KVM real time guest configuration", "isolcpus, and two CPUs of each node kept for the host"
)
_TUNED = Evidence("tuned 2.28, profiles cpu-partitioning and realtime")

KNOBS = (
    Knob(
        name="cpu.isolated",
        file="/sys/devices/system/cpu/isolated",
        legal=Cpus(),
        risk=Risk.REBOOT,
        parameter="isolcpus=managed_irq,domain,{value}",
        explain=Says(
            en="CPUs onto which the scheduler moves nobody: only who is pinned there runs there. For real-time"
            " machines whose every vCPU is pinned, one to a CPU. The same without a boot is a cpuset partition"
            " (slice.machine.partition), where control groups are of version 2.",
            zh="调度器不会把任何任务迁到这些 CPU：只有绑定到那里的才在那里运行。供每个 vCPU 都一对一绑定的实时虚拟机"
            "使用。控制组为 v2 时，cpuset 分区（slice.machine.partition）不必重启也能做到。",
        ),
        danger=Says(
            en="A machine that is allowed on several of them and not pinned piles up on the first: nothing balances"
            " it.",
            zh="允许在其中多个 CPU 上运行却没有绑定的虚拟机，会全部挤在第一个 CPU 上：这里没有负载均衡。",
        ),
        evidence=(_LIBVIRT, _TUNED, Evidence(f"{_PARAMETERS}, isolcpus")),
    ),
    Knob(
        name="cpu.nohz_full",
        file="/sys/devices/system/cpu/nohz_full",
        legal=Cpus(),
        risk=Risk.REBOOT,
        parameter="nohz_full={value}",
        explain=Says(
            en="CPUs that have no timer tick while one task runs there alone. It spares a pinned real-time vCPU up"
            " to a thousand interrupts a second, and makes every entry to the kernel a little slower: not for"
            " CPUs that share.",
            zh="只有一个任务独自运行时不产生定时中断的 CPU。绑定的实时 vCPU 每秒可少受上千次打断，但每次进入内核会略"
            "慢：不适合共享的 CPU。",
        ),
        evidence=(_TUNED, Evidence("Documentation/timers/no_hz.rst"), Evidence(f"{_PARAMETERS}, nohz_full")),
    ),
    Knob(
        name="cpu.rcu_nocbs",
        file="/proc/cmdline",
        legal=Given("rcu_nocbs", Cpus()),
        risk=Risk.REBOOT,
        parameter="rcu_nocbs={value}",
        explain=Says(
            en="CPUs whose RCU callbacks run elsewhere, in threads that can be pinned to housekeeping CPUs. It goes"
            " with cpu.nohz_full, which implies it, and takes one more source of jitter away.",
            zh="这些 CPU 的 RCU 回调改在别处的线程中运行，线程可绑到管家 CPU。它与 cpu.nohz_full 配套（后者已隐含它"
            "），再去掉一个抖动来源。",
        ),
        evidence=(_TUNED, Evidence(f"{_PARAMETERS}, rcu_nocbs")),
    ),
)
