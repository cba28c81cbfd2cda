"""What is asked on the wire of a real gateway, a real name server and a real connection, alive and dead."""

from __future__ import annotations

import socket
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns.lab import GATEWAY4, GATEWAY6, GATEWAY_MAC, HOST4, settle, silence
from virtkit.net import probes
from virtkit.net.probes import Arp, Dns, Ndp, SshSession, Tcp, Unique
from virtkit.net.probes.probe import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netns.lab import Lab
    from virtkit.net.probes import Answer, Probe

pytestmark = pytest.mark.netns

LINKS = ("eth0", "br0")
FAR_LINK_LOCAL = "fe80::5054:ff:feaa:1"  # lan0's
CLIENT = """
import socket
near = socket.create_connection(("10.9.0.11", 2200))
while near.recv(100):
    pass
"""


def _ask(lab: Lab, *asked: Probe) -> list[Answer]:
    started = time.monotonic()
    answers = lab.call(lambda: probes.ask(asked))
    assert time.monotonic() - started < PATIENCE + 0.5
    return answers


@contextmanager
def _name_server(lab: Lab) -> Iterator[None]:
    """It has nobody to ask, so it refuses: an answer all the same."""
    command = ("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root")
    server = lab.start(*command, "--pid-file=", "--bind-interfaces", "--interface=lan0", inside=lab.gateway)
    try:
        for _ in range(100):
            if lab.run("ss", "-Hlun", "sport = 53", inside=lab.gateway).stdout:
                break
            time.sleep(0.05)
        yield
    finally:
        server.kill()
        server.communicate()


def _listening(lab: Lab, address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    there = replace(lab, host=lab.gateway)
    return there.call(lambda: socket.create_server((address, port), family=family))


def test_what_is_alive_answers_and_what_is_dead_does_not(lab: Lab) -> None:
    settle(lab)
    settle(replace(lab, host=lab.gateway))
    lab.ip(f"route add 2001:db8:1::/48 via {FAR_LINK_LOCAL} dev eth0")
    asked = (
        Arp(GATEWAY4, *LINKS),
        Ndp(GATEWAY6, *LINKS),
        Ndp(FAR_LINK_LOCAL, *LINKS),
        Dns(GATEWAY4, *LINKS),
        Tcp("gw:2200", GATEWAY6, "2200"),
        Unique(HOST4, *LINKS),
    )
    with _name_server(lab), _listening(lab, GATEWAY6, 2200):
        alive = _ask(lab, *asked)
        silence(lab)
        dead = _ask(lab, *asked)
    assert all(answer.well for answer in alive), alive
    assert alive[0].said.startswith("gateway 10.9.0.1 on eth0: answers after ")
    assert alive[3].said.startswith("DNS server 10.9.0.1: answers that it refuses after ")
    assert [(answer.well, answer.said) for answer in dead] == [
        (False, "gateway 10.9.0.1 on eth0: no answer to 3 ARP requests"),
        (False, f"gateway {GATEWAY6} on eth0: no answer to 3 neighbour solicitations"),
        (False, f"gateway {FAR_LINK_LOCAL} on eth0: no answer to 3 neighbour solicitations"),
        (False, "DNS server 10.9.0.1: no answer to 3 queries"),
        (False, f"gw:2200 ({GATEWAY6}): no connection within 0.8 s"),
        (True, "10.9.0.11 on eth0: nobody else has it"),
    ]


def test_what_refuses_or_is_not_there_is_told_apart(lab: Lab) -> None:
    lab.ip("route add 10.1.0.0/16 via 10.9.0.77")
    asked = (
        Arp("10.9.0.77", *LINKS),
        Arp("10.9.0.78", *LINKS),
        Dns(GATEWAY4, *LINKS),
        Dns("fe80::1%eth7", *LINKS),
        Tcp("gw:9", GATEWAY4, "9"),
        SshSession(GATEWAY4, "50000", HOST4, "22"),
    )
    lab.ip("route del default via 10.9.0.1")
    assert [answer.said for answer in _ask(lab, *asked)] == [
        "gateway 10.9.0.77 on eth0: no answer to 3 ARP requests",
        "gateway 10.9.0.78: no route leads to it any more",
        "DNS server 10.9.0.1: connection refused",
        "DNS server fe80::1: no interface with this name",
        f"gw:9 ({GATEWAY4}): connection refused",
        f"your SSH session from {GATEWAY4}: has ended",
    ]


def test_gateway_is_followed_to_the_bridge_also_while_its_own_address_is_tentative(lab: Lab) -> None:
    lab.ip(f"route add 2001:db8:1::/48 via {FAR_LINK_LOCAL} dev eth0")
    settle(replace(lab, host=lab.gateway))
    lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
    asked = (Arp(GATEWAY4, *LINKS), Ndp(GATEWAY6, *LINKS), Ndp(FAR_LINK_LOCAL, *LINKS))
    assert any(address.get("tentative") for address in lab.json("addr", "show", "br0")[0]["addr_info"])
    answers = _ask(lab, *asked)
    assert all(answer.well and " on br0: answers" in answer.said for answer in answers), answers


def test_name_server_by_a_link_local_address_is_asked_over_the_link_that_has_the_addresses(lab: Lab) -> None:
    settle(lab)
    settle(replace(lab, host=lab.gateway))
    server = Dns(f"{FAR_LINK_LOCAL}%eth0", *LINKS)
    with _name_server(lab):
        (before,) = _ask(lab, server)
        lab.virtkit("net", "bridge", "create", "br0", "--port", "eth0", "-y")
        settle(lab)
        (after,) = _ask(lab, server)
    assert (before.well, after.well) == (True, True), (before, after)


def test_an_address_that_another_station_has_as_well_is_not_unique(lab: Lab) -> None:
    lab.ip(f"addr add {HOST4}/24 dev lan0", inside=lab.gateway)
    (answer,) = _ask(lab, Unique(HOST4, *LINKS))
    assert answer == (False, f"{HOST4} on eth0: {GATEWAY_MAC} says that it is its own")


def test_session_is_alive_then_stuck_when_nothing_is_acknowledged_and_alive_again(lab: Lab) -> None:
    with lab.call(lambda: socket.create_server((HOST4, 2200))) as server:
        client = lab.start("python3", "-c", CLIENT, inside=lab.gateway)
        accepted, (address, port) = server.accept()
        asked = SshSession(address, str(port), HOST4, "2200")
        try:
            accepted.sendall(b"prompt")
            (alive,) = _ask(lab, asked)
            assert (alive.well, ": alive (heard from 0." in alive.said) == (True, True), alive
            silence(lab)
            started = time.monotonic()
            accepted.sendall(b"anybody there?")
            while _ask(lab, asked)[0].well and time.monotonic() < started + 5:
                time.sleep(0.05)
            (stuck,) = _ask(lab, asked)
            assert time.monotonic() - started < 2
            assert (stuck.well, "stuck: sent the same" in stuck.said) == (False, True), stuck
            for deaf in ("iptables", "arptables"):
                lab.run(deaf, "-F", "INPUT", inside=lab.gateway)
            while not _ask(lab, asked)[0].well and time.monotonic() < started + 10:
                time.sleep(0.05)
            assert _ask(lab, asked)[0].well
        finally:
            client.kill()
            client.communicate()
            accepted.close()
        (ended,) = _ask(lab, asked)
        assert (ended.well, ended.said.endswith("has ended")) == (None, True)


def test_silent_session_is_none_that_failed(lab: Lab) -> None:
    """Nobody typed anything: that says neither yes nor no."""
    with lab.call(lambda: socket.create_server(("::", 2200), family=socket.AF_INET6, dualstack_ipv6=True)) as server:
        there = replace(lab, host=lab.gateway)
        with there.call(lambda: socket.create_connection((HOST4, 2200))) as client, server.accept()[0]:
            silence(lab)
            time.sleep(2.1)
            (answer,) = _ask(lab, SshSession(GATEWAY4, str(client.getsockname()[1]), HOST4, "2200"))
    assert (answer.well, ": silent (heard from 2." in answer.said) == (True, True), answer
