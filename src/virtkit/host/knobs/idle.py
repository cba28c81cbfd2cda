"""How deep idle CPUs sleep, and so how long they take to wake up (Documentation/admin-guide/pm/cpuidle.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Risk, Says, Scope
from virtkit.host.legal import Listed, Range

_TUNED = Evidence("tuned 2.28, profile virtual-host", "states that take longer than 70 us to wake from are not used")

KNOBS = (
    Knob(
        name="cpu.resume_latency_us",
        file="/sys/devices/system/cpu/cpu{place}/power/pm_qos_resume_latency_us",
        legal=Range(0, (1 << 31) - 1, "us", words=("n/a",)),
        scope=Scope.CPU,
        explain=Says(
            en="How long this CPU may take to wake up: deeper idle states are not used then. 0 is no bound, n/a"
            " forbids all sleep. What a vCPU there waits for does not also wait until the CPU is awake. Set it"
            " for the CPUs of such machines alone: CPUs that do not sleep leave less turbo to the others and take"
            " power.",
            zh="该 CPU 唤醒最多允许多久：更深的空闲状态将不再使用。0 表示不限，n/a 表示完全不睡。那里的 vCPU 不必"
            "在等来数据之后再等 CPU 醒来。只对这类虚拟机所用的 CPU 设置：不睡的 CPU 耗电，也挤占其他核的睿频。",
        ),
        evidence=(
            _TUNED,
            Evidence("Documentation/ABI/testing/sysfs-devices-power, pm_qos_resume_latency_us"),
            Evidence("measured", "changed, read back and put back", "kernel 6.18"),
        ),
    ),
    Knob(
        name="cpuidle.governor",
        file="/sys/devices/system/cpu/cpuidle/current_governor",
        choices="/sys/devices/system/cpu/cpuidle/available_governors",
        legal=Listed(),
        parameter="cpuidle.governor={value}",
        explain=Says(
            en="Who guesses how long an idle CPU will stay idle. menu is the usual one; teo fits CPUs that are"
            " woken by timers; haltpoll is for guests, which poll before they give the CPU back. On a host keep"
            " menu or teo.",
            zh="由谁猜测空闲 CPU 会闲多久。menu 最常用；teo 适合常被定时器唤醒的 CPU；haltpoll 供客户机使用，交还 CP"
            "U 前先轮询。主机保持 menu 或 teo。",
        ),
        danger=Says(
            en="haltpoll in a guest and kvm.halt_poll_ns on its host poll twice for one wake-up.",
            zh="客户机用 haltpoll 而主机又设 kvm.halt_poll_ns，会为一次唤醒轮询两遍。",
        ),
        evidence=(
            Evidence("Documentation/admin-guide/pm/cpuidle.rst, CPU idle time governors"),
            Evidence("Documentation/virt/guest-halt-polling.rst"),
        ),
    ),
    Knob(
        name="intel_idle.max_cstate",
        file="/sys/module/intel_idle/parameters/max_cstate",
        legal=Range(0, 9),
        risk=Risk.REBOOT,
        parameter="intel_idle.max_cstate={value}",
        explain=Says(
            en="The deepest idle state that Intel's driver uses, from the next boot on; 0 turns the driver off."
            " cpu.resume_latency_us does the same at run time, for single CPUs, and can be taken back.",
            zh="Intel 驱动使用的最深空闲状态，下次启动生效；0 关闭该驱动。cpu.resume_latency_us 可在运行时针对单个 C"
            "PU 做到同样的事，且可撤销。",
        ),
        evidence=(Evidence("Documentation/admin-guide/kernel-parameters.txt, intel_idle.max_cstate"),),
    ),
)
