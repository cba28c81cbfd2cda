"""Where the kernel's own unbound work runs (Documentation/core-api/workqueue.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Cpus

_FOLDER = "/sys/devices/virtual/workqueue"

KNOBS = (
    Knob(
        name="workqueue.cpumask",
        file=f"{_FOLDER}/cpumask",
        legal=Cpus(mask=True),
        explain=Says(
            en="The CPUs for the kernel's background work that is tied to none: encryption, file systems, writing"
            " back. Without the CPUs of real-time machines it disturbs them no more. Leave enough for the work:"
            " on two CPUs a host that encrypts its disks gets slow.",
            zh="内核不绑定 CPU 的后台工作（加密、文件系统、回写）可用哪些 CPU。去掉实时虚拟机的 CPU，就不再打扰它们"
            "。要留够：若只剩两个 CPU，加密磁盘的主机会变慢。",
        ),
        evidence=(
            Evidence("tuned 2.28, profile cpu-partitioning"),
            Evidence("Documentation/core-api/workqueue.rst, affinity scopes"),
            Evidence("measured", "changed, read back and put back", "kernel 6.18"),
        ),
    ),
)
