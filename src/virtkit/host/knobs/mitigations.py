"""The kernel's guards against faults of CPUs (Documentation/admin-guide/hw-vuln). Advice never lowers them."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Risk, Says
from virtkit.host.legal import Given, Words

KNOBS = (
    Knob(
        name="cpu.mitigations",
        file="/proc/cmdline",
        legal=Given("mitigations", Words(("auto", "auto,nosmt", "off")), unset="auto"),
        risk=Risk.SECURITY,
        parameter="mitigations={value}",
        explain=Says(
            en="auto guards against what this CPU is known to leak, auto,nosmt turns the second threads of cores"
            " off besides where that is needed, off guards against nothing. off makes calls into the kernel"
            " faster, and lets a guest read the memory of others. It is nobody's tuning where guests are not all"
            " your own.",
            zh="auto 防护该 CPU 已知的泄漏；auto,nosmt 在需要时还会关闭核的第二线程；off 完全不防护。off 使系统调用"
            "更快，却可能让客户机读到别人的内存。只要不是所有客户机都属于您自己，它就不算调优。",
        ),
        danger=Says(
            en="off: any guest may read secrets of the host and of other guests.",
            zh="off：任何客户机都可能读到主机和其他客户机的机密。",
        ),
        evidence=(Evidence("Documentation/admin-guide/kernel-parameters.txt, mitigations"),),
    ),
)
