"""NetworkManager has the host's only link: it takes the bridge without a packet lost, and its files say the same."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netns import networkmanager, picture
from netns.lab import HOST4, HOST6, HOST_MAC
from netns.networkmanager import PROFILES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")
LAN, BR0 = f"{PROFILES}/lan.nmconnection", f"{PROFILES}/br0.nmconnection"
HEAD = "# the uplink\n[connection]\nid=lan\nuuid=6d1f8c2a-4a15-4f6e-9c55-1b7c0a9e1f00\ntype=ethernet\n"
IPV6 = f"\n[ipv6]\n# since 2019\naddr-gen-mode=eui64\nmethod=manual\naddress1={HOST6}/64,2001:db8:9::1\nx-unknown=1\n"
STATIC = f"""{HEAD}interface-name=eth0

[ethernet]
wake-on-lan=64

[ipv4]
method=manual
address1={HOST4}/24,10.9.0.1
dns=10.9.0.1;
route1=172.31.0.0/16,10.9.0.2,50
route1_options=mtu=1400
{IPV6}"""
DHCP = f"{HEAD}interface-name=eth0\n\n[ipv4]\nmethod=auto\n\n[ipv6]\naddr-gen-mode=stable-privacy\nmethod=auto\n"
LEASED, T1 = "10.9.0.77", 3  # the client renews that many seconds after it got its lease
PER_SECOND = 200
MOST_LOST = 4  # of 200 a second: 20 ms, as for the move alone (test_bridge)
MISSING = """
from virtkit.core.system import System
from virtkit.net.backends.networkmanager import BACKEND
print(BACKEND.missing(System(), "eth0", "br0"))
"""


@contextmanager
def _networkmanager(lab: Lab, profile: str) -> Iterator[None]:
    """As after a start of the host: the link is as the profile says, and nothing else."""
    with networkmanager.running(lab, lan=profile):
        _until(lambda: _state(lab, "eth0") == ("connected", "lan") and not _tentative(lab))
        yield


@contextmanager
def _dhcp_server(lab: Lab) -> Iterator[Callable[[], list[str]]]:
    """-> the addresses that it has confirmed so far."""
    log = lab.state.parent / "dnsmasq.log"
    options = (f"--dhcp-range={LEASED},{LEASED},120", f"--dhcp-option-force=58,{T1}", "--dhcp-option=3,10.9.0.1")
    files = (f"--dhcp-leasefile={log}.leases", f"--log-facility={log}", "--pid-file=", "--conf-file=/dev/null")
    router = ("--enable-ra", "--dhcp-range=2001:db8:9::100,2001:db8:9::1ff,slaac,64,600")
    flags = (
        "--keep-in-foreground",
        "--port=0",
        "--interface=lan0",
        "--bind-dynamic",
        "--no-ping",
        "--dhcp-authoritative",
    )
    server = lab.start("dnsmasq", *flags, *options, *router, *files, inside=lab.gateway)
    try:
        yield lambda: re.findall(r"DHCPACK\(lan0\) (\S+)", log.read_text())
    finally:
        server.kill()
        server.communicate()


def _until(condition: Callable[[], bool], seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def _state(lab: Lab, link: str) -> tuple[str, str]:
    return networkmanager.states(lab).get(link, ("", ""))


def _tentative(lab: Lab) -> bool:
    return any(address.get("tentative") for link in lab.json("addr") for address in link["addr_info"])


def _addresses(lab: Lab, link: str) -> set[str]:
    return {address["local"] for address in picture.held(lab, link)["addresses"]}


def _identity(lab: Lab, link: str) -> list[str]:
    """By which the servers know the host."""
    shown = lab.run("nmcli", "-t", "-f", "DHCP4,DHCP6", "device", "show", link).stdout
    return sorted(re.findall(r"(?:dhcp_client_identifier|dhcp6_client_id|iaid) = .*", shown))


@contextmanager
def _pings(lab: Lab, *targets: str) -> Iterator[dict[str, int]]:
    """Counts what was lost while the body ran; from the gateway, so that the host's kernel answers."""
    lost: dict[str, int] = {}
    flags = ("-q", "-i", str(1 / PER_SECOND), "-w", "60")
    pings = {target: lab.start("ping", *flags, target, inside=lab.gateway) for target in targets}
    time.sleep(0.3)
    yield lost
    time.sleep(0.3)
    for target, ping in pings.items():
        ping.send_signal(2)
        found = re.search(r"(\d+) packets transmitted, (\d+) received", ping.communicate()[0])
        assert found
        lost[target] = int(found[1]) - int(found[2])


def _files(lab: Lab) -> dict[str, object]:
    """Everything that makes each profile the same file."""
    found: dict[str, object] = {}
    for folder in (PROFILES, "run/NetworkManager/system-connections"):
        for path in [*sorted((lab.root / folder).glob("[!l]*")), lab.root / LAN]:
            stat = path.stat()
            names = {name: os.getxattr(path, name) for name in os.listxattr(path) if not name.startswith("trusted.")}
            found[str(path)] = (path.read_bytes(), stat.st_mode, stat.st_uid, stat.st_gid, names)
    return found


def test_static_addresses_move_without_loss_and_undo_leaves_no_trace(lab: Lab) -> None:
    with _networkmanager(lab, STATIC):
        os.setxattr(lab.root / LAN, "user.comment", b"mine")
        held, files, states = picture.held(lab, "eth0"), _files(lab), _state(lab, "eth0")
        with _pings(lab, HOST4, HOST6) as lost:
            said = lab.virtkit(*CREATE)
        assert max(lost.values()) <= MOST_LOST, lost
        assert picture.held(lab, "br0") == held
        assert picture.held(lab, "eth0") == {"addresses": [], "routes": []}
        assert (_state(lab, "br0"), _state(lab, "eth0")) == (("connected", "br0"), ("connected", "lan"))
        assert "after the next start" not in said.stderr  # which is how the rehearsal tells a difference
        assert (lab.root / BR0).stat().st_mode & 0o777 == 0o600
        assert "x-unknown=1" in (lab.root / BR0).read_text()
        with _pings(lab, HOST4, HOST6) as lost:
            lab.virtkit("undo", "-y")
        assert max(lost.values()) <= MOST_LOST, lost
        assert (picture.held(lab, "eth0"), _files(lab), _state(lab, "eth0")) == (held, files, states)
        assert _state(lab, "br0") == ("", "")


def test_leased_and_advertised_addresses_move_with_their_clients(lab: Lab) -> None:
    with _dhcp_server(lab) as confirmed, _networkmanager(lab, DHCP):
        _until(lambda: len(_addresses(lab, "eth0")) == 3 and not _tentative(lab))
        before, identity = _addresses(lab, "eth0"), _identity(lab, "eth0")
        with _pings(lab, *sorted(before)) as lost:
            said = lab.virtkit(*CREATE)
        assert "after the next start" not in said.stderr
        assert max(lost.values()) <= MOST_LOST, lost
        assert (_addresses(lab, "br0"), _addresses(lab, "eth0")) == (before, set())
        assert _identity(lab, "br0") == identity
        seen = len(confirmed())
        _until(lambda: len(confirmed()) > seen, T1 + 4)
        (lease,) = [a for a in lab.json("addr", "show", "br0")[0]["addr_info"] if a["local"] == LEASED]
        assert lease["valid_life_time"] > 110
        assert set(confirmed()) == {LEASED}
        lab.virtkit("undo", "-y")
        assert (_addresses(lab, "eth0"), _identity(lab, "eth0")) == (before, identity)


def test_deleted_bridge_gives_all_back_to_the_port_and_undo_takes_it_again_without_loss(lab: Lab) -> None:
    with _dhcp_server(lab), _networkmanager(lab, DHCP):
        _until(lambda: len(_addresses(lab, "eth0")) == 3 and not _tentative(lab))
        held, files = _addresses(lab, "eth0"), _files(lab)
        lab.virtkit(*CREATE)
        bridged = _files(lab)
        with _pings(lab, *sorted(held)) as lost:
            lab.virtkit("net", "bridge", "delete", "br0", "-y")
        assert max(lost.values()) <= MOST_LOST, lost
        assert (_addresses(lab, "eth0"), _files(lab)) == (held, files)
        assert (_state(lab, "br0"), _state(lab, "eth0")) == (("", ""), ("connected", "lan"))
        with _pings(lab, *sorted(held)) as lost:
            lab.virtkit("undo", "-y")
        assert max(lost.values()) <= MOST_LOST, lost
        assert (_addresses(lab, "br0"), _addresses(lab, "eth0"), _files(lab)) == (held, set(), bridged)
        assert lab.run(sys.executable, "-c", MISSING).stdout == "\n"


def test_unconfirmed_move_goes_back_without_loss_and_networkmanager_has_the_port_as_before(lab: Lab) -> None:
    with _networkmanager(lab, STATIC):
        before = picture.held(lab, "eth0"), _files(lab), _state(lab, "eth0")
        with _pings(lab, HOST4, HOST6) as lost:
            refused = lab.virtkit(*CREATE, "--confirm", "2", check=False)
            lab.closed()
        assert refused.returncode == 4, refused.stderr
        assert max(lost.values()) <= MOST_LOST, lost
        assert (picture.held(lab, "eth0"), _files(lab), _state(lab, "eth0")) == before
        assert _state(lab, "br0") == ("", "")


def test_killed_while_networkmanager_takes_the_bridge_is_put_back(lab: Lab) -> None:
    with _networkmanager(lab, STATIC):
        before = picture.held(lab, "eth0"), _files(lab), _state(lab, "eth0")
        tool = lab.start(sys.executable, "-m", "virtkit", *CREATE, "--no-confirm")
        _until((lab.root / BR0).exists)
        tool.kill()
        tool.communicate()
        lab.closed()
        lab.virtkit("undo", "-y", check=False)  # what a guardian has put back already is no longer there
        _until(lambda: not _tentative(lab))
        assert (picture.held(lab, "eth0"), _files(lab), _state(lab, "eth0")) == before


def test_checkpoint_of_another_program_is_named_and_nothing_is_changed(lab: Lab) -> None:
    bus = "org.freedesktop.NetworkManager"
    with _networkmanager(lab, STATIC):
        before = _files(lab), picture.everything(lab)
        root = f"/{bus.replace('.', '/')}"
        made = lab.run("busctl", "call", bus, root, bus, "CheckpointCreate", "aouu", "0", "600", "0").stdout
        refused = lab.virtkit(*CREATE, check=False)
        assert refused.returncode == 1
        assert "eth0: is in checkpoint 1 of NetworkManager, which ends in" in refused.stderr
        assert (_files(lab), picture.everything(lab)) == before
        lab.run("busctl", "call", bus, root, bus, "CheckpointDestroy", "o", json.loads(made.split()[1]))
        assert lab.virtkit(*CREATE[:-1], "--plan", check=False).returncode == 3


def test_profile_for_any_link_stays_and_one_for_the_port_goes_before_it(lab: Lab) -> None:
    with _networkmanager(lab, STATIC.replace("interface-name=eth0\n", "")):
        lab.virtkit(*CREATE)
        assert "[ipv4]" in (lab.root / LAN).read_text()
        assert _state(lab, "eth0") == ("connected", "br0-port-eth0")
        assert lab.run(sys.executable, "-c", MISSING).stdout == "\n"
        lab.virtkit("undo", "-y")
        assert _state(lab, "eth0") == ("connected", "lan")


PROBLEMS = """
from virtkit.core.system import System
from virtkit.net.backend import File
from virtkit.net.backends.networkmanager import BACKEND
head = "[connection]\\nid=br0\\ntype=bridge\\ninterface-name=br0\\n[ipv4]\\nmethod=manual\\n"
print(BACKEND.problems(System(), [File("/a", head), File("/b", head + "address1=10.0.0.1/24\\n"), File("/c", None)]))
"""


def test_profile_that_networkmanager_would_not_take_is_found_without_it(lab: Lab) -> None:
    said = lab.run(sys.executable, "-c", PROBLEMS).stdout
    assert "/a: " in said
    assert "this property cannot be empty" in said
    assert "/b: " not in said


def test_bridge_without_a_client_is_found_and_said(lab: Lab) -> None:
    with _dhcp_server(lab), _networkmanager(lab, DHCP):
        lab.ip(f"link add br0 address {HOST_MAC} type bridge\nlink set br0 up\nlink set eth0 master br0")
        lab.ip(f"addr add {LEASED}/24 dev br0")
        (lab.root / BR0).write_text("[connection]\nid=br0\nuuid=7\ntype=bridge\ninterface-name=br0\n")
        _until(lambda: _state(lab, "br0")[0] == "connected (externally)")
        assert (
            "br0 is connected (externally), expected connected by /etc" in lab.run(sys.executable, "-c", MISSING).stdout
        )


def test_dead_daemon_is_said_before_anything_is_touched(lab: Lab) -> None:
    with _networkmanager(lab, STATIC):
        pass
    before = _files(lab), picture.everything(lab)
    refused = lab.virtkit(*CREATE, check=False)
    assert (refused.returncode, "eth0: is NetworkManager's, which does not answer: " in refused.stderr) == (1, True), (
        refused.stderr
    )
    assert (_files(lab), picture.everything(lab)) == before


OF_A_SPARE_PORT = re.compile(
    r"/(Wired connection \d|vkw\d)\.nmconnection$"
)  # NetworkManager's own, for a link that was left


@pytest.mark.parametrize("words", [("undo", "-y"), ("net", "bridge", "delete", "br0", "-y", "--no-confirm")])
def test_killed_while_networkmanager_has_the_port_out_of_its_bridge_the_guardian_goes_on(
    lab: Lab, words: tuple[str, ...]
) -> None:
    """Undo is finished, a deletion is put back."""
    with _networkmanager(lab, STATIC):
        alone = picture.held(lab, "eth0"), _files(lab), _state(lab, "eth0")
        lab.virtkit(*CREATE)
        bridged = picture.held(lab, "br0"), _files(lab), _state(lab, "eth0")
        lab.doomed("activate return 1", *words)
        lab.closed()
        (holder, before) = ("eth0", alone) if words[0] == "undo" else ("br0", bridged)
        files = {path: file for path, file in _files(lab).items() if not OF_A_SPARE_PORT.search(path)}
        assert (picture.held(lab, holder), files, _state(lab, "eth0")) == before
