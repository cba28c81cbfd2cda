"""The host comes back by itself within three seconds of a loss, long before the time to confirm is over."""

from __future__ import annotations

import re
import socket
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import GATEWAY4, GATEWAY6, HOST4, settle, silence

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
BY_ITSELF = 3.0  # seconds from the loss until everything is as before
STUCK_AFTER = 1.0  # seconds until a session has sent the same twice in vain


@contextmanager
def _waiting(lab: Lab, session: str = "") -> Iterator[subprocess.Popen[str]]:
    """The move is made, and waits for its confirmation."""
    tried = len(list(lab.state.glob("journal/*.jsonl")))
    session = f"SSH_CONNECTION={session}" if session else "NOBODY="
    running = lab.start("env", session, sys.executable, "-m", "virtkit", *CREATE, "--confirm", "60")
    try:
        journal = lab.state / f"journal/{tried + 1}.jsonl"
        for _ in range(400):
            if journal.exists() and b'"event": "holding"' in journal.read_bytes():
                break
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        yield running
    finally:
        running.kill()
        running.communicate()
        lab.closed()


def _back(running: subprocess.Popen[str], within: float = BY_ITSELF) -> str:
    """-> why, as it was told."""
    lost = time.monotonic()
    _, said = running.communicate(timeout=20)
    assert time.monotonic() - lost < within
    assert (running.returncode, "everything was put back" in said) == (4, True), said
    return said.partition("lost what worked before: ")[2]


def test_dead_gateway_and_a_bridge_that_somebody_deletes_bring_the_host_back(lab: Lab) -> None:
    settle(lab)
    before = picture.everything(lab)
    with _waiting(lab) as running:
        lab.ip("link delete br0")
        assert _back(running).startswith("br0 is gone")
    settle(lab)
    assert picture.everything(lab) == before
    with _waiting(lab) as running:
        silence(lab)
        said = _back(running)
        assert re.match(rf"gateway ({GATEWAY4}|{GATEWAY6}) on br0: no answer to 3 ", said), "the first that is missed"
    settle(lab)
    assert picture.everything(lab) == before


def test_session_that_is_cut_while_the_gateway_answers_brings_the_host_back(lab: Lab) -> None:
    """As a firewall on the way does it that knows the session by something else than its addresses."""
    with lab.call(lambda: socket.create_server((HOST4, 2200))) as server:
        there = replace(lab, host=lab.gateway)
        with (
            there.call(lambda: socket.create_connection((HOST4, 2200))) as client,
            server.accept()[0] as session,
            _waiting(lab, f"{GATEWAY4} {client.getsockname()[1]} {HOST4} 2200") as running,
        ):
            lab.run("iptables", "-I", "INPUT", "-p", "tcp", "-j", "DROP", inside=lab.gateway)
            session.sendall(b"what sshd shows of the tool's own words")
            why = _back(running, BY_ITSELF + STUCK_AFTER)
    assert why.startswith(f"your SSH session from {GATEWAY4}: stuck: sent the same")
    assert "gateway" not in why


def test_daemon_that_works_on_the_port_meanwhile_is_named_and_the_host_comes_back(lab: Lab) -> None:
    with _waiting(lab) as running:
        network = lab.root / "etc/systemd/network/eth0.network"
        network.write_text("[Match]\nName=eth0\n[Network]\nAddress=10.9.0.11/24\nGateway=10.9.0.1\n")
        daemon = lab.start("/lib/systemd/systemd-networkd")
        try:
            why = _back(running, 10)  # most of it for the daemon's start
        finally:
            daemon.kill()
            daemon.communicate()
    assert f"address {HOST4}/24 is on eth0 again (by systemd-network (pid {daemon.pid}))" in why
    assert "br0" not in {link["ifname"] for link in lab.json("link")}
    assert HOST4 in {address["local"] for address in lab.json("addr", "show", "eth0")[0]["addr_info"]}


def test_gateway_that_was_dead_before_is_not_blamed_on_the_move(lab: Lab) -> None:
    silence(lab)
    assert "done (change 1" in lab.virtkit(*CREATE, "--auto-confirm").stdout
    assert lab.json("link", "show", "eth0")[0]["master"] == "br0"
