"""Listings as ``iptables -S`` wrote them, and what becomes of a guest's first packet over br0."""

from __future__ import annotations

import pytest

from virtkit.net.firewall import iptables
from virtkit.net.firewall.rules import Filter
from virtkit.net.model import IPV4

UFW = """\
-P INPUT DROP
-P FORWARD DROP
-N ufw-before-forward
-N ufw-user-forward
-N ufw-reject-forward
-A FORWARD -j ufw-before-forward
-A ufw-before-forward -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A ufw-before-forward -p icmp -m icmp --icmp-type 8 -j ACCEPT
-A ufw-before-forward -j ufw-user-forward"""
RHEL = """\
-P FORWARD ACCEPT
-A FORWARD -m state --state RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -j REJECT --reject-with icmp-host-prohibited"""


@pytest.mark.parametrize(
    ("listed", "dropped"),
    [
        ("-P FORWARD ACCEPT", False),
        ("-P FORWARD DROP", True),
        (UFW, True),
        (f"{UFW}\n-A ufw-user-forward -i br0 -o br0 -j ACCEPT", False),
        (f"{UFW}\n-A ufw-user-forward -i br0 -o eth1 -j ACCEPT", True),
        (RHEL, True),
        ("-P FORWARD DROP\n-A FORWARD -m physdev --physdev-is-bridged -j ACCEPT", False),
        ("-P FORWARD DROP\n-A FORWARD -m physdev ! --physdev-is-bridged -j ACCEPT", True),
        ('-P FORWARD DROP\n-A FORWARD -i br+ -m comment --comment "for guests" -j ACCEPT', False),
        ("-P FORWARD DROP\n-A FORWARD ! -i br0 -j ACCEPT", True),
        ("-P FORWARD DROP\n-A FORWARD ! -i virbr0 -j ACCEPT", False),
        ("-P FORWARD ACCEPT\n-A FORWARD -i br0 -j LOG --log-prefix -j\n-A FORWARD -o br0 -j DROP", True),
        ("-P FORWARD DROP\n-N a\n-A FORWARD -g a\n-A a -j RETURN\n-A FORWARD -j ACCEPT", True),
        ("-P FORWARD DROP\n-N a\n-A FORWARD -j a\n-A a -j RETURN\n-A FORWARD -j ACCEPT", False),
    ],
)
def test_walks_the_chains_as_the_kernel_does(listed: str, dropped: bool) -> None:  # noqa: FBT001  a parameter's values
    chains, policy = iptables.parse(listed.splitlines())
    assert Filter("iptables", "FORWARD", (IPV4,), chains, "FORWARD", policy, "FORWARD").drops("br0") is dropped
