"""The host comes back by itself within three seconds of a loss, long before the time to confirm is over."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import GATEWAY4, HOST4, settle, silence

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
BY_ITSELF = 3.0  # seconds from the loss until everything is as before
STUCK_AFTER = 1.0  # seconds until a session has sent the same twice in vain


@pytest.fixture
def before(lab: Lab) -> dict[str, picture.Entries]:
    settle(lab)
    return picture.everything(lab)


@pytest.fixture
def waiting(lab: Lab, before: dict[str, picture.Entries]) -> Iterator[subprocess.Popen[str]]:
    """The move is made, and waits for its confirmation."""
    running = lab.start(sys.executable, "-m", "virtkit", *CREATE, "--confirm", "60")
    try:
        _until_it_waits(lab, running)
        yield running
    finally:
        running.kill()
        running.communicate()
        lab.closed()


def _until_it_waits(lab: Lab, running: subprocess.Popen[str]) -> None:
    for _ in range(400):
        if any(b'"event": "holding"' in file.read_bytes() for file in lab.state.glob("journal/*.jsonl")):
            return
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    raise AssertionError("does not wait for a confirmation after 20 s")


def test_gateway_that_is_dead_after_the_move_brings_the_host_back(
    lab: Lab, waiting: subprocess.Popen[str], before: dict[str, picture.Entries]
) -> None:
    lost = time.monotonic()
    silence(lab)
    _, said = waiting.communicate(timeout=20)
    assert time.monotonic() - lost < BY_ITSELF
    assert (waiting.returncode, f"gateway {GATEWAY4} on br0: no answer to 3 ARP requests" in said) == (4, True), said
    settle(lab)
    assert picture.everything(lab) == before


def test_bridge_that_somebody_deletes_brings_the_host_back(
    lab: Lab, waiting: subprocess.Popen[str], before: dict[str, picture.Entries]
) -> None:
    lost = time.monotonic()
    lab.ip("link delete br0")
    _, said = waiting.communicate(timeout=20)
    assert time.monotonic() - lost < BY_ITSELF
    assert (waiting.returncode, "br0 is gone" in said) == (4, True), said
    settle(lab)
    assert picture.everything(lab) == before


def test_daemon_that_works_on_the_port_meanwhile_is_named_and_the_host_comes_back(
    lab: Lab, waiting: subprocess.Popen[str], before: dict[str, picture.Entries]
) -> None:
    network = lab.root / "etc/systemd/network/eth0.network"
    network.write_text("[Match]\nName=eth0\n[Network]\nAddress=10.9.0.11/24\nGateway=10.9.0.1\n")
    daemon = lab.start("/lib/systemd/systemd-networkd")
    try:
        _, said = waiting.communicate(timeout=20)
    finally:
        daemon.kill()
        daemon.communicate()
    by = f"(by systemd-network (pid {daemon.pid}))"
    assert (waiting.returncode, f"address {HOST4}/24 is on eth0 again {by}" in said) == (4, True), said
    assert "br0" not in {link["ifname"] for link in lab.json("link")}
    assert HOST4 in {address["local"] for address in lab.json("addr", "show", "eth0")[0]["addr_info"]}


def test_session_that_gets_no_answer_any_more_brings_the_host_back_although_the_gateway_answers(lab: Lab) -> None:
    """As a firewall on the way does it, that has the bridge's frames for another host's: only the session is cut."""
    with lab.call(lambda: socket.create_server((HOST4, 2200))) as server:
        there = replace(lab, host=lab.gateway)
        with there.call(lambda: socket.create_connection((HOST4, 2200))) as client, server.accept()[0] as session:
            connection = f"SSH_CONNECTION={GATEWAY4} {client.getsockname()[1]} {HOST4} 2200"
            command = ("env", connection, sys.executable, "-m", "virtkit", *CREATE, "--confirm", "60")
            running = lab.start(*command)
            _until_it_waits(lab, running)
            lab.run("iptables", "-I", "INPUT", "-p", "tcp", "-j", "DROP", inside=lab.gateway)
            session.sendall(b"what sshd shows of the tool's own words")
            lost = time.monotonic()
            _, said = running.communicate(timeout=20)
            assert time.monotonic() - lost < BY_ITSELF + STUCK_AFTER
    assert f"your SSH session from {GATEWAY4}: stuck: sent the same" in said
    assert (running.returncode, "gateway" in said.split("lost what worked before")[1]) == (4, False), said


def test_gateway_that_was_dead_before_is_not_blamed_on_the_move(lab: Lab) -> None:
    settle(lab)
    silence(lab)
    done = lab.virtkit(*CREATE, "--auto-confirm")
    assert "done (change 1" in done.stdout
    assert lab.json("link", "show", "eth0")[0]["master"] == "br0"
