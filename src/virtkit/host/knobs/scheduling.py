"""The scheduler's general rules (Documentation/scheduler)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Range, Switch

KNOBS = (
    Knob(
        name="kernel.sched_rt_runtime_us",
        file="/proc/sys/kernel/sched_rt_runtime_us",
        legal=Range(-1, 1_000_000, "us of each second"),
        explain=Says(
            en="How long real-time threads may run of each second; the rest is for everybody else. -1 takes the"
            " bound away, for vCPUs with a fifo scheduler on CPUs set aside for them. 950000, the default, stops"
            " such a vCPU for 50 ms in every second.",
            zh="每秒内实时线程最多可运行多久，其余留给别人。-1 取消上限，供在专用 CPU 上以 fifo 调度的 vCPU 使用。默"
            "认 950000 会让这样的 vCPU 每秒停 50 毫秒。",
        ),
        danger=Says(
            en="-1: a real-time thread that never sleeps takes its CPU for ever, kernel threads included.",
            zh="-1：永不睡眠的实时线程会永远占住 CPU，连内核线程也得不到运行。",
        ),
        evidence=(
            Evidence("tuned 2.28, profile realtime", "-1"),
            Evidence("Documentation/scheduler/sched-rt-group.rst"),
        ),
    ),
    Knob(
        name="kernel.sched_autogroup_enabled",
        file="/proc/sys/kernel/sched_autogroup_enabled",
        legal=Switch(),
        explain=Says(
            en="1 gives each login session the same share of the CPUs, which keeps a desktop smooth. On a server it"
            " makes nice work within a session only; machines that systemd or libvirt puts into control groups"
            " are not touched by it. 0 on servers.",
            zh="1 让每个登录会话平分 CPU，使桌面流畅。在服务器上，它会让 nice 只在会话内有效；由 systemd 或 libvirt "
            "放入控制组的虚拟机不受影响。服务器用 0。",
        ),
        evidence=(
            Evidence("man 7 sched, the autogroup feature"),
            Evidence("measured", "changed, read back and put back", "kernel 6.18"),
        ),
    ),
)
