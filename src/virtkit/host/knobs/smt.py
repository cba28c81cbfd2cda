"""Whether the two threads of a core both run (Documentation/ABI/testing/sysfs-devices-system-cpu, smt/control)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.knob import Evidence, Knob, Risk, Says
from virtkit.host.legal import Words
from virtkit.host.offline import objection
from virtkit.host.topology import read_topology

if TYPE_CHECKING:
    from virtkit.host.kernel import Kernel


def _objection(kernel: Kernel, place: str, wanted: str) -> str:
    topology = read_topology(kernel)
    second = topology.cpus - {min(core) for core in topology.cores}
    return objection(kernel, second) if wanted != "on" else ""


KNOBS = (
    Knob(
        name="smt.control",
        file="/sys/devices/system/cpu/smt/control",
        legal=Words(("on", "off", "forceoff")),
        risk=Risk.SECURITY,
        refusal=_objection,
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
            Evidence(
                "measured",
                "a cpuset of version 1 with 0-7 had 0, 2, 4, 6 after off, and still after on",
                "kernel 6.1 in a guest of 4 cores",
            ),
            Evidence("Documentation/admin-guide/hw-vuln/l1tf.rst, SMT control"),
        ),
    ),
)
