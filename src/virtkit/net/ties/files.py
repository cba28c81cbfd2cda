"""Configuration files of others that name the link: at the next start they mean a port that holds nothing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.model import Link

FILES = (
    "/etc/avahi/avahi-daemon.conf",
    "/etc/chrony/chrony.conf",
    "/etc/default/isc-dhcp-server",
    "/etc/dnsmasq.conf",
    "/etc/ipsec.conf",
    "/etc/iptables/rules.v4",
    "/etc/iptables/rules.v6",
    "/etc/keepalived/keepalived.conf",
    "/etc/nftables.conf",
    "/etc/radvd.conf",
    "/etc/strongswan.conf",
    "/etc/suricata/suricata.yaml",
    "/etc/sysconfig/ip6tables",
    "/etc/sysconfig/iptables",
    "/etc/sysconfig/nftables.conf",
    "/etc/sysctl.conf",
    "/etc/vnstat.conf",
)
FOLDERS = ("/etc/dnsmasq.d", "/etc/nftables.d", "/etc/strongswan.d", "/etc/swanctl/conf.d", "/etc/sysctl.d",
           "/etc/ufw", "/etc/wireguard")  # fmt: skip


def found(system: System, link: Link, target: str) -> Iterator[str]:
    """A VLAN's name (``eth0.100``) is not the link's, ``net.ipv4.conf.eth0.rp_filter`` has it in it."""
    naming = re.compile(rf"(?<![\w-]){re.escape(link.name)}(?![\w-]|\.\d)")
    for path in [*FILES, *(f"{folder}/{name}" for folder in FOLDERS for name in system.names(folder))]:
        lines = enumerate(system.read_or(path, "").splitlines(), 1) if system.path(path).is_file() else ()
        places = [number for number, line in lines if naming.search(line) and not line.lstrip().startswith(("#", ";"))]
        if places:
            where = f"{path}:{','.join(map(str, places))}"
            yield f"{where} names {link.name}, which holds nothing then: it may have to name {target}"
