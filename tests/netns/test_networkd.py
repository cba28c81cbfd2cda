"""systemd-networkd's link becomes a port and back: the real daemon takes over, keeps its files, and loses no packet."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netns import networkd, picture
from netns.lab import GATEWAY4, HOST4, HOST6

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
DELETE = ("net", "bridge", "delete", "br0", "-y")
PER_SECOND = 200
MOST_LOST = 4  # as in test_bridge: what the kernel itself drops while it takes a port in or out
WRITTEN_BY_HAND = """# the LAN, see ticket 4711
[Match]
Name = eth0

[Network]
Description=the LAN   ; of the house
Address=10.9.0.11/24
Address=10.9.0.12/24
Address=2001:db8:9::11/64
IPv6AcceptRA=no
Gateway=10.9.0.1
DNS=10.9.0.1
Domains=house.example
FutureKey=of some later version

[Route]
# over the old router
Destination=172.31.0.0/16
Gateway=10.9.0.2
Metric=50
MTUBytes=1400

[Route]
Gateway=2001:db8:9::1
Metric=77
[FutureSection]
Answer=42
"""


@contextmanager
def pings(lab: Lab, *targets: str) -> Iterator[dict[str, int]]:
    """Both directions without a pause; -> how many were lost, once it is over."""
    lost: dict[str, int] = {}
    flags = ("-q", "-i", str(1 / PER_SECOND))
    ways = [(target, lab.gateway if target in targets else lab.host) for target in (*targets, GATEWAY4)]
    running = {target: lab.start("ping", *flags, target, inside=inside) for target, inside in ways}
    time.sleep(0.3)
    try:
        yield lost
    finally:
        time.sleep(0.3)
        for target, ping in running.items():
            ping.send_signal(2)
            said = ping.communicate()[0]
            found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
            assert found, said
            assert int(found[1]) > PER_SECOND / 2
            lost[target] = int(found[1]) - int(found[2])


def test_static_link_goes_to_a_bridge_and_back(lab: Lab) -> None:
    files = {"20-lan.network": WRITTEN_BY_HAND}
    with networkd.running(lab, files):
        before, held = picture.everything(lab), picture.held(lab, "eth0")
        with pings(lab, HOST4, HOST6) as lost:
            said = lab.virtkit(*CREATE)
        assert max(lost.values()) <= MOST_LOST, lost
        assert "with or without this change" not in said.stderr
        made = networkd.texts(lab)
        assert {name: made[name] for name in files} == files
        assert networkd.states(lab) == {"lo": "unmanaged", "eth0": "configured", "br0": "configured"}
        assert picture.held(lab, "br0") == held
        assert picture.held(lab, "eth0") == {"addresses": [], "routes": []}
        with pings(lab, HOST4, HOST6) as lost:
            lab.virtkit("undo", "-y")
        assert max(lost.values()) <= MOST_LOST, lost
        assert networkd.texts(lab) == files
        networkd.configured(lab, "eth0")
        assert picture.everything(lab) == before


BY_DHCP = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=ipv6\n"


def test_dhcp_lease_goes_along_and_is_renewed_over_the_bridge(lab: Lab) -> None:
    with networkd.dhcp(lab, 120) as leases, networkd.running(lab, {"20-lan.network": BY_DHCP}):
        before = picture.everything(lab)
        (address,) = [a["local"] for a in lab.json("addr", "show", "eth0")[0]["addr_info"] if a["family"] == "inet"]
        client, lease = networkd.lease(lab, "eth0")["CLIENTID"], leases.read_text().split()[1:]
        with pings(lab, address) as lost:
            lab.virtkit(*CREATE)
        assert max(lost.values()) <= MOST_LOST, lost
        assert networkd.states(lab) == {"lo": "unmanaged", "eth0": "configured", "br0": "configured"}
        assert networkd.lease(lab, "br0")["CLIENTID"] == client
        assert leases.read_text().split()[1:] == lease
        with pings(lab, address) as lost:
            asked = networkd.acknowledged(lab)
            lab.run("networkctl", "renew", "br0")
            networkd.until(lambda: networkd.acknowledged(lab) > asked, "lease renewed")
            lab.virtkit("undo", "-y")
        assert max(lost.values()) <= MOST_LOST, lost
        assert networkd.lease(lab, "eth0")["CLIENTID"] == client
        assert picture.everything(lab) == before
