"""Whether devices see memory through page tables of their own: needed to give a device to a machine."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Risk, Says
from virtkit.host.legal import Given, Words

_PARAMETERS = "Documentation/admin-guide/kernel-parameters.txt"
_VALIDATE = Evidence("virt-host-validate of libvirt", "asks for it before a device is given to a machine")

KNOBS = (
    Knob(
        name="iommu.intel_iommu",
        file="/proc/cmdline",
        legal=Given("intel_iommu", Words(("on", "off", "on,sm_on")), unset="unset"),
        risk=Risk.REBOOT,
        parameter="intel_iommu={value}",
        explain=Says(
            en="on turns Intel's IOMMU (VT-d) on, without which no device can be given to a machine. Some kernels"
            " are built with it on: then nothing needs to be said. AMD's is on where the firmware offers it."
            " VT-d has to be on in the firmware as well.",
            zh="on 启用 Intel 的 IOMMU（VT-d），没有它就无法把设备直通给虚拟机。有些内核编译时已默认开启，则无需写。"
            "AMD 的在固件提供时自动开启。固件里也要打开 VT-d。",
        ),
        evidence=(_VALIDATE, Evidence(f"{_PARAMETERS}, intel_iommu")),
    ),
    Knob(
        name="iommu.passthrough",
        file="/proc/cmdline",
        legal=Given("iommu", Words(("pt", "nopt", "off")), unset="unset"),
        risk=Risk.REBOOT,
        parameter="iommu={value}",
        explain=Says(
            en="pt lets the host's own devices reach memory without translation, so that only those given to"
            " machines pay for it: faster network and storage of the host. Without it a broken or hostile device"
            " of the host can write only where it was told to; with it, anywhere.",
            zh="pt 让主机自用设备不经地址转换直接访问内存，只有直通给虚拟机的设备才付代价：主机的网络和存储更快。不"
            "用 pt 时，出错或恶意的主机设备只能写到被允许之处；用了则可写任何地方。",
        ),
        evidence=(Evidence(f"{_PARAMETERS}, iommu and iommu.passthrough"),),
    ),
)
