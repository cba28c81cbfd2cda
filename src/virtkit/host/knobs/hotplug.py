"""Single CPUs that are taken away and brought back (Documentation/core-api/cpu_hotplug.rst)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.knob import Evidence, Knob, Says, Scope
from virtkit.host.legal import Switch
from virtkit.host.offline import objection

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel


def _objection(kernel: Kernel, place: str, wanted: str) -> str:
    return objection(kernel, frozenset({int(place)})) if wanted == "0" else ""


KNOBS = (
    Knob(
        name="cpu.online",
        file="/sys/devices/system/cpu/cpu{place}/online",
        legal=Switch(),
        scope=Scope.CPU,
        refusal=_objection,
        explain=Says(
            en="0 takes one CPU away from everybody until it is set to 1: for a CPU that reports errors, or to see"
            " how a host does with fewer. Work and interrupts move to other CPUs, and interrupts do not come"
            " back by themselves. It is no way to keep work off a CPU: for that isolate it. The first CPU often"
            " cannot go.",
            zh="0 让一个 CPU 对所有人不可用，直到再设为 1：用于报错的 CPU，或试验主机 CPU 变少时的表现。任务和中断会"
            "移到其他 CPU，中断不会自动回来。想让某个 CPU 清静不应用它，而应隔离。第一个 CPU 往往不能下线。",
        ),
        danger=Says(
            en="Threads that were pinned to it alone lose their pin. Cpusets of control groups version 1 do not get"
            " the CPU back.",
            zh="只绑定在该 CPU 上的线程会失去绑定。v1 控制组的 cpuset 不会再得回该 CPU。",
        ),
        evidence=(
            Evidence(
                "measured",
                "a cpuset of version 1 with 0-7 had 0-4,6-7 after CPU 5 had gone and come back",
                "kernel 6.1 in a guest",
            ),
            Evidence("Documentation/core-api/cpu_hotplug.rst"),
        ),
    ),
)
