"""The host comes back by itself within three seconds of a loss, long before the time to confirm is over."""

from __future__ import annotations

import sys
import time
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


@pytest.fixture
def before(lab: Lab) -> dict[str, picture.Entries]:
    settle(lab)
    return picture.everything(lab)


@pytest.fixture
def waiting(lab: Lab, before: dict[str, picture.Entries]) -> Iterator[subprocess.Popen[str]]:
    """The move is made, and waits for its confirmation."""
    running = lab.start(sys.executable, "-m", "virtkit", *CREATE, "--confirm", "60")
    try:
        for _ in range(200):
            if any(step.startswith(b'{"event": "holding"') for step in _journal(lab)):
                break
            assert running.poll() is None, running.communicate()
            time.sleep(0.05)
        yield running
    finally:
        running.kill()
        running.communicate()
        lab.closed()


def _journal(lab: Lab) -> list[bytes]:
    return [line for file in lab.state.glob("journal/*.jsonl") for line in file.read_bytes().splitlines()]


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


def test_gateway_that_was_dead_before_is_not_blamed_on_the_move(lab: Lab, before: dict[str, picture.Entries]) -> None:
    silence(lab)
    done = lab.virtkit(*CREATE, "--auto-confirm")
    assert "done (change 1" in done.stdout
    assert lab.json("link", "show", "eth0")[0]["master"] == "br0"
