from __future__ import annotations

import pytest

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.ifupdown.commands import Belongs, belongs
from virtkit.net.naming import renamed


@pytest.mark.parametrize(
    "command",
    [
        "ethtool -K eth0 gro off",
        "/sbin/ethtool -s $IFACE wol g || true",
        "ip link set eth0 txqueuelen 5000",
        "ip -4 link set dev ${IFACE} promisc on",
        "tc qdisc add dev eth0 root fq",
        "sudo ethtool -G eth0 rx 4096 && ethtool -A eth0 rx off",
    ],
)
def test_hardware_stays_with_the_port(command: str) -> None:
    assert belongs(command, "eth0", "f:1") is Belongs.PORT


@pytest.mark.parametrize(
    "command",
    [
        "ip route add 10.0.0.0/8 via 10.9.0.2 dev eth0",
        "ip -6 addr add 2001:db8::5/64 dev $IFACE",
        "route add -net 10.0.0.0/8 gw 10.9.0.2 eth0",
        "iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE",
        "echo 1 > /proc/sys/net/ipv4/conf/eth0/proxy_arp",
        "sysctl -w net.ipv4.conf.eth0.rp_filter=2",
        "/usr/local/bin/firewall.sh",
        "ethtool -K eth1 gro off",
        "/usr/local/bin/hook $IFACE",
    ],
)
def test_layer_3_moves(command: str) -> None:
    assert belongs(command, "eth0", "f:1") is Belongs.BRIDGE


@pytest.mark.parametrize(
    "command",
    [
        "/usr/local/bin/setup eth0",
        "ethtool -K eth0 gro off; ip route add 10.0.0.0/8 dev eth0",
        "for i in eth0 eth1; do ip route flush dev $i; done",
    ],
)
def test_what_could_be_either_is_refused_with_its_place(command: str) -> None:
    with pytest.raises(NotSupportedError, match="f:1: names eth0") as refused:
        belongs(command, "eth0", "f:1")
    assert "$IFACE" in refused.value.hint


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("ip r add default dev eth0", "ip r add default dev br0"),
        ("echo 1 > /proc/sys/net/ipv4/conf/eth0/x", "echo 1 > /proc/sys/net/ipv4/conf/br0/x"),
        ("sysctl net.ipv4.conf.eth0.x=1", "sysctl net.ipv4.conf.br0.x=1"),
        ("ip a add 10.0.0.2/24 label eth0:1 dev eth0", "ip a add 10.0.0.2/24 label br0:1 dev br0"),
        ("echo veth0 eth0a eth0.100 my-eth0 eth0-x", "echo veth0 eth0a eth0.100 my-eth0 eth0-x"),
    ],
)
def test_only_the_whole_name_is_another(command: str, expected: str) -> None:
    assert renamed(command, "eth0", "br0") == expected
