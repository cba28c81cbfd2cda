"""KVM's own parameters (Documentation/admin-guide/kernel-parameters.txt, kvm.*, kvm-intel.*, kvm-amd.*)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Risk, Says
from virtkit.host.legal import Range, Switch

_PARAMETERS = "Documentation/admin-guide/kernel-parameters.txt"
_INTEL, _AMD = "/sys/module/kvm_intel/parameters", "/sys/module/kvm_amd/parameters"
_SECOND_LEVEL = Says(
    en="Whether the CPU itself walks the guest's and the host's page tables. It is on by default, and off only by"
    " mistake or by somebody's old test: without it KVM shadows every page table of a guest, several times"
    " slower. Changing it means to load the module anew, with all machines off.",
    zh="是否由 CPU 硬件直接查找客户机与主机两级页表。默认开启，关着只会是失误或旧测试遗留：关闭后 KVM 要为客户机的每"
    "个页表做影子，慢好几倍。更改需要关掉所有虚拟机并重新加载模块。",
)
_MORE_TO_ATTACK = Says(
    en="On: a guest reaches the code that emulates VMX or SVM, where holes of KVM have been. A machine that runs guests"
    " of its own cannot be migrated to every host.",
    zh="打开后，客户机可触及模拟 VMX/SVM 的代码，KVM 的漏洞曾出现在那里；"
    "运行着自己客户机的虚拟机也不能迁移到任意主机。",
)
_NESTED = Says(
    en="Whether machines can run machines of their own under KVM. For developers' desktops and build hosts that"
    " need it; elsewhere off, because it opens more of KVM to the guest and makes live migration of such a"
    " machine harder.",
    zh="虚拟机内部能否再用 KVM 运行虚拟机。供确有需要的开发桌面和构建主机；其他地方应关闭：它让客户机接触到 KVM 更多"
    "代码，也使这类虚拟机更难热迁移。",
)
_IN_CHIP = Says(
    en="Whether interrupts reach a running vCPU without an exit to KVM. Newer kernels turn it on where the CPU can;"
    " it makes pinned machines with many interrupts faster. Some features of a machine turn it off again for"
    " that machine.",
    zh="中断能否不经退出到 KVM 而直达运行中的 vCPU。较新的内核在 CPU 支持时会自动开启；中断密集且已绑定的虚拟机因此"
    "更快。虚拟机的某些特性会让它对该机失效。",
)

KNOBS = (
    Knob(
        name="kvm.halt_poll_ns",
        file="/sys/module/kvm/parameters/halt_poll_ns",
        legal=Range(0, 10_000_000, "ns"),
        explain=Says(
            en="How long KVM waits actively for an idle vCPU to be woken before it lets the CPU go. 200000 answers"
            " faster: for databases, real time and networks. On a host that promises more vCPUs than it has CPUs"
            " the waiting takes time from others: 50000 or less there. It shows as system time of the host.",
            zh="vCPU 空闲后，KVM 主动等待多久才放开 CPU。200000 响应更快：适合数据库、实时和网络。vCPU 超分的主机上"
            "，这种等待会占走别人的时间：那里用 50000 或更低。它计入主机的系统时间。",
        ),
        evidence=(
            Evidence("Linux commit aca6ff29", "TCP_RR from 34 to 26.7 us"),
            Evidence("Linux commit f7819512", "O_DSYNC writes from 30 % to 60-65 % of bare metal"),
            Evidence("Documentation/virt/kvm/halt-polling.rst"),
        ),
    ),
    Knob(
        name="kvm_intel.ept",
        file=f"{_INTEL}/ept",
        legal=Switch(),
        risk=Risk.RESTART,
        explain=_SECOND_LEVEL,
        evidence=(Evidence(f"{_PARAMETERS}, kvm-intel.ept"),),
    ),
    Knob(
        name="kvm_amd.npt",
        file=f"{_AMD}/npt",
        legal=Switch(),
        risk=Risk.RESTART,
        explain=_SECOND_LEVEL,
        evidence=(Evidence(f"{_PARAMETERS}, kvm-amd.npt"),),
    ),
    Knob(
        name="kvm_intel.nested",
        file=f"{_INTEL}/nested",
        legal=Switch(),
        risk=Risk.SECURITY,
        explain=_NESTED,
        danger=_MORE_TO_ATTACK,
        evidence=(
            Evidence(f"{_PARAMETERS}, kvm-intel.nested"),
            Evidence("Documentation/virt/kvm/x86/running-nested-guests.rst"),
        ),
    ),
    Knob(
        name="kvm_amd.nested",
        file=f"{_AMD}/nested",
        legal=Switch(),
        risk=Risk.SECURITY,
        explain=_NESTED,
        danger=_MORE_TO_ATTACK,
        evidence=(
            Evidence(f"{_PARAMETERS}, kvm-amd.nested"),
            Evidence("Documentation/virt/kvm/x86/running-nested-guests.rst"),
        ),
    ),
    Knob(
        name="kvm_intel.enable_apicv",
        file=f"{_INTEL}/enable_apicv",
        legal=Switch(),
        risk=Risk.RESTART,
        explain=_IN_CHIP,
        evidence=(Evidence(f"{_PARAMETERS}, kvm-intel.enable_apicv"),),
    ),
    Knob(
        name="kvm_amd.avic",
        file=f"{_AMD}/avic",
        legal=Switch(),
        risk=Risk.RESTART,
        explain=_IN_CHIP,
        evidence=(Evidence("arch/x86/kvm/svm/avic.c, module parameter avic"),),
    ),
    Knob(
        name="kvm.nx_huge_pages",
        file="/sys/module/kvm/parameters/nx_huge_pages",
        legal=Switch(),
        risk=Risk.SECURITY,
        explain=Says(
            en="Whether KVM splits huge pages from which a guest runs code, so that a guest cannot halt the whole"
            " host by a fault of the CPU (iTLB multihit). The kernel turns it on where the CPU has the fault. It"
            " costs some speed; lower it only where every guest is trusted, and decide that yourself.",
            zh="客户机从大页执行代码时，KVM 是否将其拆成小页，以防客户机利用 CPU 缺陷（iTLB multihit）使整台主机停机"
            "。内核在 CPU 有此缺陷时自动开启。它损失一些速度；只有所有客户机都可信时才可降低，且应由您亲自决定。",
        ),
        danger=Says(
            en="Off, on a CPU with the fault: any guest can stop the host.",
            zh="在有缺陷的 CPU 上关闭：任何客户机都能让主机停机。",
        ),
        evidence=(
            Evidence("Documentation/admin-guide/hw-vuln/multihit.rst"),
            Evidence(f"{_PARAMETERS}, kvm.nx_huge_pages"),
        ),
    ),
)
