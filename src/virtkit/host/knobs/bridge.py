"""Whether frames that only cross a bridge go through iptables (Documentation/networking/ip-sysctl.rst)."""

from __future__ import annotations

from virtkit.host.knob import Evidence, Knob, Says
from virtkit.host.legal import Switch

_FOLDER = "/proc/sys/net/bridge"
_DOCUMENT = Evidence("Documentation/networking/ip-sysctl.rst, /proc/sys/net/bridge/*")
_DANGER = Says(
    en="Docker and libvirt's nwfilter rely on 1; the file comes with the module br_netfilter, and with its default, 1.",
    zh="Docker 与 libvirt 的 nwfilter 依赖 1；该文件随 br_netfilter 模块出现，默认即为 1。",
)


def _frames(protocol: str, name: str) -> Knob:
    return Knob(
        name=f"net.bridge.{name}",
        file=f"{_FOLDER}/{name}",
        legal=Switch(),
        explain=Says(
            en=f"Whether {protocol} frames between machines on a bridge pass the host's firewall. 0 lets them pass"
            f" as through a switch: faster, and no rule that was made for the host drops them. 1 where filters"
            f" for bridged machines are written in iptables.",
            zh=f"网桥上虚拟机之间的 {protocol} 帧是否经过主机防火墙。0 让它们像过交换机一样通过：更快，也不会被为主"
            f"机写的规则误丢。若用 iptables 为桥接虚拟机写过滤规则，则用 1。",
        ),
        danger=_DANGER,
        evidence=(_DOCUMENT, Evidence("measured", "changed, read back and put back", "kernel 6.18")),
    )


KNOBS = (
    _frames("IPv4", "bridge-nf-call-iptables"),
    _frames("IPv6", "bridge-nf-call-ip6tables"),
    _frames("ARP", "bridge-nf-call-arptables"),
)
