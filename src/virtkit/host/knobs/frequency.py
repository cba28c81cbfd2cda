"""How fast the CPUs run (Documentation/admin-guide/pm/cpufreq.rst). In a virtual host its own host decides."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says, Scope
from virtkit.host.legal import Listed, Range, Switch

_CPU = "/sys/devices/system/cpu/cpu{place}"
_TUNED = Evidence("tuned 2.28, profile throughput-performance", "performance")

KNOBS = (
    Knob(
        name="cpufreq.governor",
        file=f"{_CPU}/cpufreq/scaling_governor",
        choices=f"{_CPU}/cpufreq/scaling_available_governors",
        legal=Listed(),
        scope=Scope.CPU,
        explain=Says(
            en="Who chooses the CPU's frequency. performance keeps it high, so that a vCPU that wakes up does not"
            " first run slowly: for databases and real time. powersave of intel_pstate is not slow, it follows"
            " the load; ondemand and schedutil do as well. The price is power and heat.",
            zh="由谁选择 CPU 频率。performance 保持高频，vCPU 醒来不必先慢跑一段：适合数据库和实时。intel_pstate 的 "
            "powersave 并不慢，它随负载变化；ondemand、schedutil 也是。代价是耗电与发热。",
        ),
        evidence=(_TUNED, Evidence("Documentation/admin-guide/pm/cpufreq.rst, generic scaling governors")),
    ),
    Knob(
        name="cpufreq.energy_performance_preference",
        file=f"{_CPU}/cpufreq/energy_performance_preference",
        choices=f"{_CPU}/cpufreq/energy_performance_available_preferences",
        legal=Listed(),
        scope=Scope.CPU,
        explain=Says(
            en="A hint to CPUs that choose their frequency themselves (HWP, CPPC): performance or sparing power. It"
            " counts where the governor is powersave; with the governor performance the kernel fixes it and"
            " refuses other words.",
            zh="给自行选频的 CPU（HWP、CPPC）的提示：偏性能还是偏省电。调速器为 powersave 时起作用；为 performance "
            "时由内核固定，拒绝其他取值。",
        ),
        evidence=(_TUNED, Evidence("Documentation/admin-guide/pm/intel_pstate.rst, energy vs performance hints")),
    ),
    Knob(
        name="cpu.energy_perf_bias",
        file=f"{_CPU}/power/energy_perf_bias",
        legal=Range(0, 15),
        scope=Scope.CPU,
        explain=Says(
            en="The older hint of Intel's CPUs (EPB): 0 is performance, 6 the middle, 15 sparing power. Some"
            " firmware leaves it at 6 or higher whatever the system asks for.",
            zh="Intel 较早的提示（EPB）：0 为性能，6 居中，15 为省电。有些固件不管系统如何设置都停在 6 或更高。",
        ),
        evidence=(_TUNED, Evidence("Documentation/admin-guide/pm/intel_epb.rst")),
    ),
    Knob(
        name="cpufreq.boost",
        file="/sys/devices/system/cpu/cpufreq/boost",
        legal=Switch(),
        explain=Says(
            en="Whether CPUs may run above their nominal frequency while there is room in power and heat. 1 is"
            " faster; 0 makes each run take the same time, which some real-time machines need more.",
            zh="功耗和温度有余量时，CPU 是否可超过标称频率。1 更快；0 让每次运行耗时一致，有些实时虚拟机更需要后者。",
        ),
        evidence=(
            Evidence("tuned 2.28, profile throughput-performance", "1"),
            Evidence("Documentation/admin-guide/pm/cpufreq.rst, frequency boost support"),
        ),
    ),
    Knob(
        name="intel_pstate.no_turbo",
        file="/sys/devices/system/cpu/intel_pstate/no_turbo",
        legal=Switch(),
        explain=Says(
            en="The same for Intel's driver, the other way round: 1 forbids the frequencies above the nominal one.",
            zh="Intel 驱动的同一开关，含义相反：1 表示禁止超过标称频率。",
        ),
        evidence=(Evidence("Documentation/admin-guide/pm/intel_pstate.rst, no_turbo"),),
    ),
)
