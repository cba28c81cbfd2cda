"""What worked before a move and does not after it is missed; what was dead before, and what is well, is not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns.lab import GATEWAY4, GATEWAY6, HOST4, HOST6, settle, silence
from virtkit.core.system import System
from virtkit.net import plan_bridge, plan_delete_bridge
from virtkit.net.actions import Watch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab
    from virtkit.core.plan import Json, Plan

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
ROUTE = "default via 10.9.0.1 proto boot metric 100"


class _Watcher:
    """The watch of a plan, at work in the lab's host."""

    def __init__(self, lab: Lab, plan: Plan) -> None:
        assert isinstance(plan.actions[0], Watch)
        self._lab, self.watch = lab, plan.actions[0]
        self.before: Json = lab.call(lambda: self.watch.capture(System()))

    def lost(self) -> list[str]:
        started = time.monotonic()
        lost = self._lab.call(lambda: self.watch.lost(System(), self.before))
        assert time.monotonic() - started < 1.3
        return lost


def _planned(lab: Lab, *checks: str) -> Plan:
    return lab.call(lambda: plan_bridge("br0", "eth0", checks=checks))


@contextmanager
def _port_open(lab: Lab, port: int) -> Iterator[None]:
    with replace(lab, host=lab.gateway).call(lambda: socket.create_server((GATEWAY4, port))):
        yield


def test_gateway_that_dies_after_the_move_is_missed_on_the_bridge(lab: Lab) -> None:
    settle(lab)
    with _port_open(lab, 2200):
        watcher = _Watcher(lab, _planned(lab, f"{GATEWAY4}:2200"))
        assert watcher.watch.watched(watcher.before) == [
            f"gateway {GATEWAY4}",
            f"gateway {GATEWAY6}",
            f"{GATEWAY4}:2200",
        ]
        lab.virtkit(*CREATE)
        assert watcher.lost() == []
        silence(lab)
        assert watcher.lost() == [
            f"gateway {GATEWAY4} on br0: no answer to 3 ARP requests",
            f"gateway {GATEWAY6} on br0: no answer to 3 neighbour solicitations",
            f"{GATEWAY4}:2200: no connection within 0.8 s",
        ]


def test_what_was_dead_before_is_told_and_never_missed(lab: Lab) -> None:
    settle(lab)
    silence(lab)
    plan = _planned(lab, f"{GATEWAY4}:2200")
    for said in (
        f"does not work now, so it is not watched: gateway {GATEWAY4} on eth0: no answer to 3 ARP requests",
        f"does not work now, so it is not watched: {GATEWAY4}:2200: no connection within 0.8 s",
        "nothing beyond this host is watched during the move; name something that has to answer: --check HOST:PORT",
    ):
        assert said in plan.notes
    watcher = _Watcher(lab, plan)
    lab.virtkit(*CREATE)
    assert watcher.lost() == []


def test_what_dies_between_plan_and_move_is_not_missed_either(lab: Lab) -> None:
    settle(lab)
    plan = _planned(lab)
    silence(lab)
    watcher = _Watcher(lab, plan)
    lab.virtkit(*CREATE)
    assert (watcher.watch.watched(watcher.before), watcher.lost()) == ([], [])


@pytest.mark.parametrize(
    ("routes", "watched"),
    [
        ("route del default\nroute add default dev eth0", [f"gateway {GATEWAY6}"]),
        ("route del default\n-6 route del default", []),
        ("addr del 10.9.0.11/24 dev eth0", [f"gateway {GATEWAY6}"]),
        (f"route add 10.1.0.0/16 via 10.9.0.2\nroute add 10.2.0.0/16 via {GATEWAY4}", ["gateway 10.9.0.2"]),
        ("route add 10.1.0.0/16 nexthop via 10.9.0.2 nexthop via 10.9.0.3", ["gateway 10.9.0.2", "gateway 10.9.0.3"]),
    ],
)
def test_every_gateway_of_the_link_is_watched_once_and_hosts_without_are_moved_too(
    lab: Lab, routes: str, watched: list[str]
) -> None:
    lab.ip("addr add 10.9.0.2/24 dev lan0\naddr add 10.9.0.3/24 dev lan0", inside=lab.gateway)
    for line in routes.splitlines():
        lab.run("ip", *line.split())
    settle(lab)
    watcher = _Watcher(lab, _planned(lab))
    both = [f"gateway {GATEWAY4}", f"gateway {GATEWAY6}"] if "10.1.0.0" in routes else []
    assert watcher.watch.watched(watcher.before) == both + watched
    lab.virtkit(*CREATE)
    assert watcher.lost() == []


def test_session_over_another_link_is_not_at_risk_and_not_watched(lab: Lab) -> None:
    """Scenario of an administrator who came in by a management port."""
    lab.ip("link add eth1 type veth peer name lan1\nlink set lan1 up\nlink set eth1 up\naddr add 10.5.0.11/24 dev eth1")
    settle(lab)
    session = "SSH_CONNECTION=10.5.0.1 50000 10.5.0.11 22"
    shown = lab.run("env", session, sys.executable, "-m", "virtkit", *CREATE[:-1], "--plan", check=False).stdout
    assert "your SSH session from 10.5.0.1 does not go over eth0: it is not at risk" in shown
    assert "watched during the move: your SSH session" not in shown


def test_session_over_the_link_is_watched_and_one_that_has_ended_is_not(lab: Lab) -> None:
    settle(lab)
    with lab.call(lambda: socket.create_server((HOST6, 2200), family=socket.AF_INET6)) as server:
        there = replace(lab, host=lab.gateway)
        with there.call(lambda: socket.create_connection((HOST6, 2200))) as client, server.accept()[0]:
            session = f"SSH_CONNECTION={GATEWAY6} {client.getsockname()[1]} {HOST6} 2200"
            plan = ("env", session, sys.executable, "-m", "virtkit", *CREATE[:-1], "--plan", "--output", "json")
            shown = json.loads(lab.run(*plan, check=False).stdout)
            assert any(
                note.startswith(f"watched during the move: your SSH session from {GATEWAY6}: ")
                for note in shown["notes"]
            )
        shown = json.loads(lab.run(*plan, check=False).stdout)
    ended = f"does not work now, so it is not watched: your SSH session from {GATEWAY6}: has ended"
    assert ended in shown["notes"]


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
    settle(lab)
    watcher = _Watcher(lab, _planned(lab))
    lab.virtkit(*CREATE)
    settle(lab)
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


def test_daemon_that_puts_an_address_back_on_the_port_is_named(lab: Lab) -> None:
    """systemd-networkd, told nothing of the bridge."""
    watcher = _Watcher(lab, _planned(lab))
    lab.virtkit(*CREATE)
    settle(lab)
    network = lab.root / "etc/systemd/network/eth0.network"
    network.write_text("[Match]\nName=eth0\n[Network]\nAddress=10.9.0.11/24\nGateway=10.9.0.1\n")
    assert watcher.lost() == []
    daemon = lab.start("/lib/systemd/systemd-networkd")
    lost: list[str] = []
    try:
        for _ in range(50):
            if lost := watcher.lost():
                break
            time.sleep(0.1)
    finally:
        daemon.kill()
        daemon.communicate()
    by = f"(by systemd-network (pid {daemon.pid}))"
    assert f"address {HOST4}/24 is on eth0 again {by}" in lost


def test_way_back_is_watched_as_well(lab: Lab) -> None:
    lab.virtkit(*CREATE)
    settle(lab)
    watcher = _Watcher(lab, lab.call(lambda: plan_delete_bridge("br0")))
    lab.virtkit("net", "bridge", "delete", "br0", "-y")
    assert watcher.watch.watched(watcher.before) == [f"gateway {GATEWAY4}", f"gateway {GATEWAY6}"]
    assert watcher.lost() == []
    silence(lab)
    assert watcher.lost()[0] == f"gateway {GATEWAY4} on eth0: no answer to 3 ARP requests"


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
