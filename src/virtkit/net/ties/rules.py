"""A rule of a packet filter that names the link, and what puts the same for another link beside it."""

from __future__ import annotations

from typing import NamedTuple

MAKERS = {
    "firewalld": "firewalld",
    "docker": "Docker",
    "libvirt": "libvirt",
    "ufw": "ufw",
    "f2b": "fail2ban",
    "cali": "Calico",
    "kube": "Kubernetes",
}  # by what their tables' and chains' names begin with


class Rule(NamedTuple):
    shown: str  # in its program's words: ``iptables -t filter -A INPUT -i eth0 -j ACCEPT``
    command: str  # for a shell; empty: no command does it
    maker: str = ""  # who writes it anew; empty: not known, the administrator most likely
    excludes: bool = False  # it is about all links but this one, so from then on about the other one too


def maker(*names: str) -> str:
    """By the names of the table and the chain."""
    makers = [found for start, found in MAKERS.items() if any(name.lower().startswith(start) for name in names)]
    return makers[0] if makers else ""
