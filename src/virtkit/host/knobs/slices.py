"""Which CPUs systemd gives to machines, services and people (man 5 systemd.resource-control; cgroup-v2.rst).

The files are there where control groups are of version 2 and somebody has bounded the CPUs of a slice: until then it
has all of them, and systemd makes the file when it reads our drop-in. machine.slice is there while a machine runs.
"""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Cpus, Partition

_GROUPS = "/sys/fs/cgroup"
_MANUAL = Evidence("man 5 systemd.resource-control, AllowedCPUs=")
_BOUND = Evidence("measured", "a pin outside the cpuset is refused with EINVAL", "kernel 6.1 and 6.18")
_DANGER = Says(
    en="Machines whose pins lie outside do not start any more.",
    zh="绑定落在集合之外的虚拟机将无法启动。",
)


def _cpus(slice_: str, en: str, zh: str) -> Knob:
    return Knob(
        name=f"slice.{slice_}.cpus",
        file=f"{_GROUPS}/{slice_}.slice/cpuset.cpus",
        effective=f"{_GROUPS}/{slice_}.slice/cpuset.cpus.effective",
        legal=Cpus(),
        unit=f"{slice_}.slice Slice AllowedCPUs",
        implied=(f"{_GROUPS}/cgroup.controllers", "cpuset"),
        explain=Says(en, zh),
        danger=_DANGER,
        evidence=(_MANUAL, _BOUND),
    )


KNOBS = (
    _cpus(
        "machine",
        "The CPUs on which libvirt's machines may run. With the other slices on the other CPUs the host splits"
        " in two: housekeeping here, machines there, and no service disturbs a machine. Pins of machines must"
        " lie within.",
        "libvirt 的虚拟机可在哪些 CPU 上运行。其他 slice 放到其余 CPU，主机就一分为二：管家与虚拟机各占一边，服务"
        "不再打扰虚拟机。虚拟机的绑定必须落在其中。",
    ),
    _cpus(
        "system",
        "The CPUs for the host's services: the housekeeping side. One whole core of each node, both threads of"
        " it, is enough for most; storage and network in software need more.",
        "主机服务可用的 CPU，即管家一侧。多数情况下每个节点留一个整核（含两个线程）即可；软件实现的存储和网络需要"
        "更多。",
    ),
    _cpus(
        "user",
        "The CPUs for people who log in: the same as for services, so that what somebody builds there"
        " disturbs no machine.",
        "登录用户可用的 CPU：与服务相同即可，这样有人在那里编译也不会打扰虚拟机。",
    ),
    Knob(
        name="slice.machine.partition",
        file=f"{_GROUPS}/machine.slice/cpuset.cpus.partition",
        legal=Partition(),
        explain=Says(
            en="isolated takes the CPUs of slice.machine.cpus away from everybody else and balances nothing among"
            " them, as isolcpus does, but at run time. root takes them away and goes on balancing. For machines"
            " whose vCPUs are all pinned: isolated; else root. member puts everything back.",
            zh="isolated 把 slice.machine.cpus 的 CPU 从其他所有人手里拿走，且内部不做均衡——等同 isolcpus，但无需重"
            "启。root 同样拿走，但内部继续均衡。vCPU 全部绑定的虚拟机用 isolated，否则用 root。member 恢复原状。",
        ),
        danger=Says(
            en="isolated with machines that are not pinned: all of their vCPUs run on one CPU. The kernel takes a"
            " partition that cannot be and says 'invalid'.",
            zh="虚拟机未绑定却设 isolated：其所有 vCPU 会挤在一个 CPU 上。无法成立的分区内核也照收，只是显示 invalid。",
        ),
        evidence=(
            Evidence(
                "measured",
                "isolated on CPUs 4-7 of 8: the root group's effective CPUs are 0-3",
                "kernel 6.1 in a guest",
            ),
            Evidence("Documentation/admin-guide/cgroup-v2.rst, cpuset.cpus.partition"),
        ),
    ),
)
