"""What worked before a move and does not after it is missed; what was dead before, and what is well, is not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns.lab import GATEWAY4, GATEWAY6, GATEWAY_MAC, HOST4, HOST6, HOST_MAC, silence
from netns.watcher import Watcher, planned
from virtkit.core.system import System
from virtkit.net import plan_delete_bridge
from virtkit.net.ports import plan_add_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
BOTH = [f"gateway {GATEWAY4}", f"gateway {GATEWAY6}"]
ROUTE = "default via 10.9.0.1 proto boot metric 100"


def test_gateway_that_dies_after_the_move_there_or_back_is_missed_on_the_link_that_leads_to_it(lab: Lab) -> None:
    with replace(lab, host=lab.gateway).call(lambda: socket.create_server((GATEWAY4, 2200))):
        watcher = Watcher(lab, planned(lab, f"{GATEWAY4}:2200"))
        assert watcher.watched() == [*BOTH, f"{GATEWAY4}:2200"]
        lab.virtkit(*CREATE)
        assert watcher.lost() == []
        back = Watcher(lab, lab.call(lambda: plan_delete_bridge("br0", system=System(lab.root))))
        assert back.watched() == BOTH
        silence(lab)
        assert watcher.lost() == [*_dead("br0"), f"{GATEWAY4}:2200: no connection within 0.8 s"]
        lab.virtkit("net", "bridge", "delete", "br0", "-y")
        assert back.lost() == _dead("eth0")


def test_bridge_that_gets_a_further_port_keeps_what_it_holds_and_is_watched(lab: Lab) -> None:
    lab.virtkit(*CREATE)
    lab.ip("link add eth2 type veth peer name lan2\nlink set eth2 up\nlink set lan2 up")
    watcher = Watcher(lab, lab.call(lambda: plan_add_port("br0", "eth2", system=System(lab.root))))
    assert watcher.watched() == BOTH
    lab.virtkit("net", "bridge", "port", "add", "br0", "eth2", "-y", "--no-confirm")
    assert watcher.lost() == []
    lab.ip("addr del 10.9.0.11/24 dev br0")
    assert watcher.lost()[0].startswith("address 10.9.0.11/24 brd 10.9.0.255 is not on br0 any more")


def _dead(link: str) -> list[str]:
    return [
        f"gateway {GATEWAY4} on {link}: no answer to 3 ARP requests",
        f"gateway {GATEWAY6} on {link}: no answer to 3 neighbour solicitations",
    ]


def test_what_was_dead_before_or_dies_before_the_move_is_told_and_never_missed(lab: Lab) -> None:
    early = planned(lab)
    silence(lab)
    late = planned(lab, f"{GATEWAY4}:2200")
    for said in (
        f"does not work now, so it is not watched: gateway {GATEWAY4} on eth0: no answer to 3 ARP requests",
        f"does not work now, so it is not watched: {GATEWAY4}:2200: no connection within 0.8 s",
        "nothing beyond this host is watched during the move; name something that has to answer: --check HOST:PORT",
    ):
        assert said in late.notes
    watchers = [Watcher(lab, plan) for plan in (early, late)]
    lab.virtkit(*CREATE)
    assert [(watcher.watched(), watcher.lost()) for watcher in watchers] == [([], []), ([], [])]


GATEWAYS = [
    (f"route add 10.1.0.0/16 via 10.9.0.2\nroute add 10.2.0.0/16 via {GATEWAY4}", [*BOTH, "gateway 10.9.0.2"]),
    (
        "route replace 10.1.0.0/16 nexthop via 10.9.0.2 nexthop via 10.9.0.3",
        [*BOTH, "gateway 10.9.0.2", "gateway 10.9.0.3"],
    ),
    ("route del 10.1.0.0/16\nroute del 10.2.0.0/16\nroute del default", [f"gateway {GATEWAY6}"]),
    ("addr del 10.9.0.11/24 dev eth0", [f"gateway {GATEWAY6}"]),  # IPv6 alone
    ("route add default dev eth0\n-6 route del default", []),
]


def test_every_gateway_of_the_link_is_watched_once_and_a_host_without_is_moved_too(lab: Lab) -> None:
    lab.ip("addr add 10.9.0.2/24 dev lan0\naddr add 10.9.0.3/24 dev lan0", inside=lab.gateway)
    for lines, gateways in GATEWAYS:
        for line in lines.splitlines():
            lab.run("ip", *line.split())
        assert Watcher(lab, planned(lab)).watched() == gateways
    without = Watcher(lab, planned(lab))
    lab.virtkit(*CREATE)
    assert without.lost() == []


def test_gateway_that_routes_but_answers_no_arp_is_not_watched_and_what_is_behind_it_is(lab: Lab) -> None:
    """The administrator wrote down its MAC address; the kernel asks as little as the gateway answers."""
    lab.run("arptables", "-A", "INPUT", "-i", "lan0", "-j", "DROP", inside=lab.gateway)
    lab.ip(
        f"addr add 192.0.2.1/32 dev lo\nneigh replace {HOST4} lladdr {HOST_MAC} dev lan0 nud permanent",
        inside=lab.gateway,
    )
    lab.ip(f"neigh replace {GATEWAY4} lladdr {GATEWAY_MAC} dev eth0 nud permanent")
    with replace(lab, host=lab.gateway).call(lambda: socket.create_server(("192.0.2.1", 2200))):
        watcher = Watcher(lab, planned(lab, "192.0.2.1:2200"))
        lab.virtkit(*CREATE)
        assert (watcher.watched(), watcher.lost()) == ([f"gateway {GATEWAY6}", "192.0.2.1:2200"], [])


def test_session_is_watched_if_it_goes_over_the_link_and_has_not_ended(lab: Lab) -> None:
    lab.ip("link add eth1 type veth peer name lan1\nlink set lan1 up\nlink set eth1 up\naddr add 10.5.0.11/24 dev eth1")
    elsewhere = _notes(lab, "10.5.0.1 50000 10.5.0.11 22")
    assert "your SSH session from 10.5.0.1 does not go over eth0: it is not at risk" in elsewhere
    assert not any("watched" in note and "SSH" in note for note in elsewhere)
    with lab.call(lambda: socket.create_server((HOST6, 2200), family=socket.AF_INET6)) as server:
        there = replace(lab, host=lab.gateway)
        with there.call(lambda: socket.create_connection((HOST6, 2200))) as client, server.accept()[0]:
            connection = f"{GATEWAY6} {client.getsockname()[1]} {HOST6} 2200"
            watched = f"watched during the move: your SSH session from {GATEWAY6}: "
            assert any(note.startswith(watched) for note in _notes(lab, connection))
    ended = f"does not work now, so it is not watched: your SSH session from {GATEWAY6}: has ended"
    assert ended in _notes(lab, connection)


def _notes(lab: Lab, connection: str) -> list[str]:
    plan = (sys.executable, "-m", "virtkit", *CREATE[:-1], "--plan", "--output", "json")
    shown = json.loads(lab.run("env", f"SSH_CONNECTION={connection}", *plan, check=False).stdout)
    return [str(note) for note in shown["notes"]]


def test_address_that_another_station_has_as_well_is_told(lab: Lab) -> None:
    lab.ip("addr add 10.9.0.12/24 dev eth0")
    lab.ip("addr add 10.9.0.12/24 dev lan0", inside=lab.gateway)
    said = f"in use twice already: 10.9.0.12 on eth0: {GATEWAY_MAC} says that it is its own"
    assert [note for note in planned(lab).notes if "twice" in note] == [said]


RACES = [
    (f"addr add {HOST4}/24 dev eth0", f"address {HOST4}/24 is on eth0 again", f"addr del {HOST4}/24 dev eth0"),
    (f"addr add {HOST6}/64 dev eth0", f"address {HOST6}/64 is on eth0 again", f"addr del {HOST6}/64 dev eth0"),
    ("link set eth0 nomaster", "eth0 is no port of br0 any more", "link set eth0 master br0"),
    (
        "route replace default via 10.9.0.3 metric 100",
        f"route {ROUTE} is not on br0 any more",
        f"route replace {ROUTE}",
    ),
    (
        "route add default via 10.9.0.1 dev eth0 metric 5 onlink",
        "route default via 10.9.0.1 onlink proto boot metric 5 is on eth0 again",
        "route del default metric 5",
    ),
    ("link set br0 down", "br0 is down", ""),
]


def test_whoever_changes_what_was_moved_is_reported_by_name(lab: Lab) -> None:
    watcher = Watcher(lab, planned(lab))
    lab.virtkit(*CREATE)
    assert watcher.lost() == []
    for change, said, back in RACES:
        with _program(lab, change) as pid:
            found = next(line for line in watcher.lost() if line.startswith(said))
        untold = "link set" in change or HOST6 in change
        assert (f"(by ip (pid {pid}))" in found) != untold, found
        lab.ip(back)
    lab.ip("link delete br0")
    gone, *others = watcher.lost()
    assert gone.startswith("br0 is gone (perhaps by ip (pid ")
    assert others == [f"gateway {gateway}: no route leads to it any more" for gateway in (GATEWAY4, GATEWAY6)]


@contextmanager
def _program(lab: Lab, change: str) -> Iterator[int]:
    """Changes the network and lives on, as a daemon does."""
    pipe = subprocess.PIPE
    running = subprocess.Popen(lab.command("ip", "-force", "-batch", "-"), stdin=pipe, stderr=pipe, text=True)
    assert running.stdin is not None
    try:
        running.stdin.write(f"{change}\nlink show nothing-more\n")
        running.stdin.flush()
        assert running.stderr is not None
        assert "nothing-more" in running.stderr.readline()
        yield running.pid
    finally:
        running.kill()
        running.communicate()
