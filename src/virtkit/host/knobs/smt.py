"""Whether the two threads of a core both run (Documentation/ABI/testing/sysfs-devices-system-cpu, smt/control)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.cpuset import format_list
from virtkit.host.knob import Evidence, Knob, Risk, Says
from virtkit.host.legal import Words
from virtkit.host.programs import read_programs
from virtkit.host.topology import read_topology
from virtkit.host.vms import read_vms

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel


def _pinned_to_siblings(kernel: Kernel, place: str, wanted: str) -> str:
    """A thread whose CPUs all go away is moved by the kernel to any other: its pinning is lost."""
    if wanted == "on":
        return ""
    stays = frozenset(min(core) for core in read_topology(kernel).cores)
    for vm in read_vms(kernel, read_programs(kernel)):
        for thread in vm.threads:
            if not thread.cpus & stays:
                name = vm.name or f"process {vm.pid}"
                cpus = format_list(thread.cpus)
                return f"{name}: thread {thread.name} is pinned to CPUs {cpus}, which would go away: move it first"
    return ""


KNOBS = (
    Knob(
        name="smt.control",
        file="/sys/devices/system/cpu/smt/control",
        legal=Words(("on", "off", "forceoff")),
        risk=Risk.SECURITY,
        refusal=_pinned_to_siblings,
        explain=Says(
            en="off takes the second thread of every core away. What is left does not share its core with another"
            " machine: no leak between threads (L1TF, MDS), and even times for real time. The host then has half"
            " of its CPUs, and less throughput. Giving a machine whole cores of its own does the same for it alone.",
            zh="off 关闭每个核的第二个线程。剩下的线程不再与别的虚拟机共用一个核：线程之间无泄漏（L1TF、MDS），实时"
            "耗时也更均匀。代价是 CPU 数减半、吞吐下降。给单台虚拟机独占整核，对它也有同样效果。",
        ),
        danger=Says(
            en="forceoff cannot be taken back before the next boot. off moves every thread that was pinned to a"
            " second thread only.",
            zh="forceoff 在下次启动前无法撤销。off 会移走只绑定在第二线程上的所有线程。",
        ),
        evidence=(
            Evidence(
                "measured",
                "off: CPUs 0, 2, 4, 6 online; on: 0-7 again, with the affinity of before in a cpuset",
                "kernel 6.1 in a guest of 4 cores",
            ),
            Evidence("Documentation/admin-guide/hw-vuln/l1tf.rst, SMT control"),
        ),
    ),
)
