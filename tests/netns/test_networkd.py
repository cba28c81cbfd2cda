"""systemd-networkd's link becomes a port and back: the real daemon takes over, keeps its files, and loses no packet."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netns import dhcp, networkd, picture
from netns.lab import HOST4, HOST6
from netns.test_autoconfiguration import ADDRESS as ADVERTISED
from netns.test_autoconfiguration import _advertise as advertise
from netns.traffic import lossless

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
DELETE = ("net", "bridge", "delete", "br0", "-y")
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


def test_static_link_goes_to_a_bridge_and_back(lab: Lab) -> None:
    files = {"20-lan.network": WRITTEN_BY_HAND}
    with networkd.resolver(lab), networkd.running(lab, files):
        before, held = picture.everything(lab), picture.held(lab, "eth0")
        networkd.until(lambda: networkd.name_servers(lab, "eth0") == "10.9.0.1", "a resolver")
        with lossless(lab, (HOST4, HOST6)):
            said = lab.virtkit(*CREATE).stderr
        assert "with or without this change" not in said
        made = networkd.texts(lab)
        assert {name: made[name] for name in files} == files
        assert networkd.states(lab) == {"lo": "unmanaged", "eth0": "configured", "br0": "configured"}
        assert picture.held(lab, "br0") == held
        assert picture.held(lab, "eth0") == {"addresses": [], "routes": []}
        assert [networkd.name_servers(lab, link) for link in ("eth0", "br0")] == ["", "10.9.0.1"]
        with lossless(lab, (HOST4, HOST6)):
            lab.virtkit(*DELETE)
        assert (networkd.texts(lab), picture.everything(lab)) == (files, before)
        networkd.configured(lab, "eth0")
        with lossless(lab, (HOST4, HOST6)):
            lab.virtkit("undo", "-y")
        assert (networkd.texts(lab), picture.held(lab, "br0")) == (made, held)
        networkd.configured(lab, "eth0", "br0")
        with lossless(lab, (HOST4, HOST6)):
            lab.virtkit("undo", "1", "-y")
        assert (networkd.texts(lab), picture.everything(lab)) == (files, before)
        assert networkd.texts(lab, "run/systemd/network").keys() == {"20-lan.network.d/zz-virtkit.conf"}
        networkd.configured(lab, "eth0")


BY_DHCP = "[Match]\nName=eth0\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\nLinkLocalAddressing=ipv6\n"


def test_dhcp_lease_goes_along_and_is_renewed_over_the_bridge(lab: Lab) -> None:
    with dhcp.server(lab) as leases, networkd.running(lab, {"20-lan.network": BY_DHCP}):
        before = picture.everything(lab)
        (address,) = [a["local"] for a in lab.json("addr", "show", "eth0")[0]["addr_info"] if a["family"] == "inet"]
        client, lease = networkd.lease(lab, "eth0")["CLIENTID"], leases.read_text().split()[1:]
        with lossless(lab, (address,)):
            lab.virtkit(*CREATE)
        assert networkd.states(lab) == {"lo": "unmanaged", "eth0": "configured", "br0": "configured"}
        assert networkd.lease(lab, "br0")["CLIENTID"] == client
        assert leases.read_text().split()[1:] == lease
        with lossless(lab, (address,)):
            asked = dhcp.acknowledged(lab)
            lab.run("networkctl", "renew", "br0")
            networkd.until(lambda: dhcp.acknowledged(lab) > asked, "lease renewed")
            lab.virtkit("undo", "-y")
        assert networkd.lease(lab, "eth0")["CLIENTID"] == client
        assert picture.everything(lab) == before


FOR_MANY = """# all cards of this rack
[Match]
# but not the wireless ones
Name=eth* en*

[Link]
MTUBytes=1400

[Network]
Address=10.9.0.11/24
IPv6AcceptRA=no
Gateway=10.9.0.1
LLDP=yes
FutureKey=kept

[Address]
Address=10.9.0.12/24
Label=eth0:1

[PFIFO]
Parent=root
PacketLimit=77
"""


def test_address_from_a_router_that_networkd_listens_to_itself_is_kept(lab: Lab) -> None:
    networkd.write(lab, "20-lan.network", "[Match]\nName=eth0\n[Network]\nAddress=10.9.0.11/24\n")
    lab.ip("addr flush dev eth0\nlink set eth0 down")
    with networkd.bus(lab), networkd.daemon(lab), _router(lab):
        networkd.configured(lab, "eth0")
        with lossless(lab, (ADVERTISED,)):
            said = lab.virtkit(*CREATE).stderr
        assert "with or without this change" not in said
        (left,) = _lifetimes(lab, "br0")
        assert 3000 < left <= 3600


@contextmanager
def _router(lab: Lab) -> Iterator[None]:
    """Advertises twice a second."""
    over = threading.Event()

    def speak() -> None:
        while not over.wait(0.5):
            advertise(lab)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _lifetimes(lab: Lab, link: str) -> list[int]:
    (shown,) = lab.json("addr", "show", "dev", link)
    return [address["valid_life_time"] for address in shown["addr_info"] if address["local"] == ADVERTISED]


def test_file_for_many_links_stays_theirs(lab: Lab) -> None:
    files = {"00-rack.network": FOR_MANY, "00-rack.network.d/dns.conf": "[Network]\n# ours\nDNS=10.9.0.1\n"}
    lab.ip("link add eth1 type veth peer name far1\nlink set far1 up")
    with networkd.running(lab, files, "eth0", "eth1"):
        held, other = picture.held(lab, "eth0"), picture.held(lab, "eth1")
        said = lab.virtkit(*CREATE).stderr
        assert "with or without this change" not in said
        made = networkd.texts(lab)
        assert {name: made[name] for name in files} == files
        assert set(made) - set(files) == {f"0-virtkit-{name}" for name in ("br0.netdev", "br0.network", "eth0.network")}
        assert "# but not the wireless ones\n" in made["0-virtkit-br0.network"]
        assert "FutureKey=kept\n" in made["0-virtkit-br0.network"]
        assert "LLDP=yes\n" in made["0-virtkit-eth0.network"]
        assert (picture.held(lab, "br0"), picture.held(lab, "eth1")) == (held, other)
        assert lab.json("link", "show", "eth0")[0]["qdisc"] == "pfifo"
        assert "PacketLimit=77\n" in made["0-virtkit-eth0.network"]
        assert [lab.json("link", "show", name)[0]["mtu"] for name in ("br0", "eth0")] == [1400, 1400]
        lab.virtkit(*DELETE)
        assert networkd.texts(lab) == files
        assert picture.held(lab, "eth0") == held
        networkd.configured(lab, "eth0", "eth1")


def test_daemon_that_starts_anew_finds_all_as_it_is(lab: Lab) -> None:
    with networkd.bus(lab):
        lab.ip("addr flush dev eth0\nlink set eth0 down")
        networkd.write(lab, "20-lan.network", WRITTEN_BY_HAND)
        with networkd.daemon(lab):
            networkd.configured(lab, "eth0")
            lab.virtkit(*CREATE)
        with networkd.daemon(lab):
            networkd.until(lambda: networkd.states(lab).get("br0") == "configured", "br0 configured", 20)
            assert networkd.states(lab) == {"lo": "unmanaged", "eth0": "configured", "br0": "configured"}
            lab.run("ping", "-c", "1", "-W", "2", HOST4, inside=lab.gateway)


def test_lease_stays_although_the_client_was_known_by_the_links_name(lab: Lab) -> None:
    """As on a host with udev: networkd makes the IAID from the name that udev keeps for the card; a bridge has none."""
    index = lab.json("link", "show", "eth0")[0]["ifindex"]
    (lab.root / "run/udev/data").mkdir(parents=True)
    (lab.root / f"run/udev/data/n{index}").write_text("I:1\nE:ID_NET_NAME_PATH=enp7s0\nG:systemd\nV:1\n")
    with dhcp.server(lab), networkd.running(lab, {"20-lan.network": BY_DHCP}):
        client = networkd.lease(lab, "eth0")["CLIENTID"]
        lab.virtkit(*CREATE)
        assert networkd.lease(lab, "br0")["CLIENTID"] == client
        drop_in = networkd.texts(lab)["20-lan.network.d/virtkit-br0.conf"]
        assert f"IAID={int(client[2:10], 16)}\n" in drop_in


REHEARSE = """
import sys
from pathlib import Path
from virtkit.core import engine
from virtkit.core.errors import VirtkitError
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.net.actions import Rehearse
try:
    plan = Plan("a start", (Rehearse("networkd", "systemd-networkd", "eth0", "br0", {}),))
    engine.run(plan, System(), Journal(Path(sys.argv[1])), print)
except VirtkitError as error:
    print(type(error).__name__, error)
"""


def test_rehearsal_says_what_a_start_would_lack_and_when_it_cannot_be_held(lab: Lab) -> None:
    def rehearsed() -> str:
        return lab.run(sys.executable, "-c", REHEARSE, str(lab.state.with_name("journal"))).stdout

    with networkd.running(lab, {"20-lan.network": WRITTEN_BY_HAND}):
        lab.virtkit(*CREATE)
        (lab.root / networkd.FOLDER / "10-virtkit-br0.netdev").unlink()
        said = rehearsed()
        assert "RolledBackError" in said
        assert "after it, eth0 lacks a place in br0; br0 lacks mac" in said
        lab.run("mv", "/lib/systemd/systemd-networkd", "/lib/systemd/elsewhere")
        said = rehearsed()
        assert "not rehearsed: systemd-networkd: not installed" in said
        assert "Error" not in said


REFUSED = {  # the file that is new, and what is said of it
    "05-new.network": ("[Match]\nMACAddress=52:54:00:aa:00:11\n", "it was not read yet"),
    "30-mine.network": ("[Match]\nName=br0\n", "30-mine.network: is for br0 already"),
    "30-mine.netdev": ("[NetDev]\nName=br0\nKind=bridge\n", "30-mine.netdev: is for br0 already"),
    "20-lan.network": (WRITTEN_BY_HAND + "# new\n", "was changed after systemd-networkd set up eth0"),
}


def test_refuses_before_anything_is_touched(lab: Lab) -> None:
    with networkd.running(lab, {"20-lan.network": WRITTEN_BY_HAND}):
        before = picture.everything(lab)
        for name, (text, said) in REFUSED.items():
            networkd.write(lab, name, text)
            refused = lab.virtkit(*CREATE, check=False)
            assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
            (lab.root / networkd.FOLDER / name).unlink()
        assert picture.everything(lab) == before
