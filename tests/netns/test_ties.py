"""What does not move with the addresses is carried over, or told by the plan with its owner."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netns import echo, picture
from netns.lab import GATEWAY4, GATEWAY6, HOST4, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
LISTENER = """
import socket, struct, time
bound = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
bound.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
bound.bind(("", 7777))
listening = socket.socket(socket.AF_INET6)
listening.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
listening.listen()
mdns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
mdns.bind(("", 5353))
index = socket.if_nametoindex("eth0")
for group in ("224.0.0.251", "239.1.2.3"):
    request = socket.inet_aton(group) + socket.inet_aton("0.0.0.0") + struct.pack("=i", index)
    mdns.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, request)
print("ready", flush=True)
time.sleep(60)
"""
FILES = {
    "etc/sysctl.d/50-lan.conf": "net.ipv4.conf.eth0.rp_filter = 2\n# eth0\nnet.ipv4.conf.eth0.arp_ignore = 1\n",
    "etc/sysctl.d/60-vlan.conf": "net.ipv4.conf.eth0.100.rp_filter = 2\n",
    "etc/wireguard/wg0.conf": "[Interface]\nPostUp = iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\n",
    "etc/firewalld/zones/work.xml": '<zone>\n  <interface name="eth0"/>\n</zone>\n',
}


@contextmanager
def _listener(lab: Lab) -> Iterator[int]:
    running = lab.start("python3", "-c", LISTENER)
    try:
        assert running.stdout
        assert running.stdout.readline() == "ready\n"
        yield running.pid
    finally:
        running.kill()
        running.communicate()


def _notes(lab: Lab) -> list[str]:
    plan = json.loads(lab.virtkit(*CREATE[:-1], "--plan", "--output", "json", check=False).stdout)
    notes: list[str] = plan["notes"]
    return notes


def _type(lab: Lab, notes: list[str], rule: str) -> None:
    """What the note about the rule says to type."""
    (note,) = [note for note in notes if note.startswith(rule)]
    lab.run("sh", "-ec", note.partition("; for br0: ")[2])


def test_plan_tells_what_stays_behind_and_whose_it_is(lab: Lab) -> None:
    settle(lab)
    for place, text in FILES.items():
        (lab.root / place).parent.mkdir(parents=True, exist_ok=True)
        (lab.root / place).write_text(text)
    lab.run("sh", "-ec", "tc qdisc add dev eth0 root handle 5: tbf rate 1gbit burst 1mb latency 9ms")
    lab.run("sh", "-ec", "iptables -A INPUT -i eth0 -p tcp --dport 22 -j ACCEPT")
    lab.run("nft", "add table inet lan; add chain inet lan in; add rule inet lan in iif eth0 tcp dport 22 accept")
    with _listener(lab) as pid:
        notes = _notes(lab)
    me = f"python3 (pid {pid})"
    assert sum(note.startswith(f"{me} has a socket bound to eth0") for note in notes) == 2
    assert f"multicast group 224.0.0.251 (mDNS) was joined on eth0 by {me}; joins do not move: restart it" in notes
    assert any(note.startswith("multicast group 239.1.2.3 was joined on eth0 by a program that") for note in notes)
    assert not [note for note in notes if "224.0.0.1 " in note or "ff02::1:ff" in note]
    assert any(note.startswith("tc tbf 5: stays on eth0") for note in notes)
    _type(lab, notes, "iptables -t filter -A INPUT -i eth0 ")
    assert "-A INPUT -i br0 -p tcp -m tcp --dport 22 -j ACCEPT" in lab.run("iptables", "-S").stdout
    _type(lab, notes, "nft chain inet lan in: ")
    assert 'iifname "br0" tcp dport 22 accept' in lab.run("nft", "list", "chain", "inet", "lan", "in").stdout
    zone = "/etc/firewalld/zones/work.xml names eth0: so that br0 is in this zone after the next start"
    assert any(note.startswith(zone) and note.endswith("--zone=work --change-interface=br0") for note in notes)
    assert "/etc/sysctl.d/50-lan.conf:1,3 names eth0, which holds nothing then: it may have to name br0" in notes
    assert any(note.startswith("/etc/wireguard/wg0.conf:2 names eth0") for note in notes)
    assert not [note for note in notes if "60-vlan" in note]


def test_quiet_host_has_nothing_to_tell(lab: Lab) -> None:
    settle(lab)
    notes = _notes(lab)
    assert not [note for note in notes if "restart it" in note or " names eth0" in note or "stays on" in note]


@pytest.mark.parametrize("value", [0, 1, 2])
def test_reverse_path_filter_goes_along_and_drops_nothing(lab: Lab, value: int) -> None:
    """The port's, and that for all links, of which the kernel takes the larger one."""
    lab.run("sysctl", "-qw", f"net.ipv4.conf.eth0.rp_filter={value}", f"net.ipv4.conf.all.rp_filter={value % 2}")
    settle(lab)
    before = picture.everything(lab)
    inward = echo.start(lab, lab.gateway, [HOST4, "2001:db8:9::11"], 2000)
    outward = echo.start(lab, lab.host, [GATEWAY4, GATEWAY6], 2000)
    time.sleep(0.2)
    lab.virtkit(*CREATE)
    assert lab.run("sysctl", "-n", "net.ipv4.conf.br0.rp_filter").stdout.strip() == str(value)
    lab.virtkit("undo", "-y")
    time.sleep(0.3)
    tallies = [*echo.finish(inward), *echo.finish(outward)]
    assert [tally.lost for tally in tallies] == [0, 0, 0, 0], tallies
    assert lab.run("sysctl", "-n", "net.ipv4.conf.eth0.rp_filter").stdout.strip() == str(value)
    assert picture.everything(lab) == before


def test_settings_of_the_port_are_those_of_the_bridge(lab: Lab) -> None:
    settle(lab)
    wanted = {
        "net.ipv4.conf.{}.arp_ignore": "1",
        "net.ipv4.conf.{}.send_redirects": "0",
        "net.ipv6.conf.{}.accept_ra": "0",
        "net.ipv4.neigh.{}.gc_stale_time": "33",
    }
    lab.run("sysctl", "-qw", *(f"{key.format('eth0')}={value}" for key, value in wanted.items()))
    lab.virtkit(*CREATE)
    found = {key: lab.run("sysctl", "-n", key.format("br0")).stdout.strip() for key in wanted}
    assert found == wanted
