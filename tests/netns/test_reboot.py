"""After a start of the host its files make the bridge: it is still known as ours, and goes as it came."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from netns import networkd, networkmanager, picture
from netns.lab import HOST4, HOST6, settle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Protocol

    from netns.lab import Lab

    class Start(Protocol):
        def __call__(self, lab: Lab, text: str, link: str) -> AbstractContextManager[None]: ...


pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y", "--no-confirm")
DELETE = ("net", "bridge", "delete", "br0", "-y", "--no-confirm")
UNDO = ("undo", "-y")


@contextmanager
def _with_networkmanager(lab: Lab, text: str, link: str) -> Iterator[None]:
    with networkmanager.running(lab, **({"lan": text} if text else {})):
        networkd.until(lambda: networkmanager.states(lab).get(link, ("",))[0] == "connected", link, 20)
        settle(lab)
        yield


@contextmanager
def _with_networkd(lab: Lab, text: str, link: str) -> Iterator[None]:
    with networkd.running(lab, {"lan.network": text} if text else {}, link):
        settle(lab)
        yield


@contextmanager
def _with_ifupdown(lab: Lab, text: str, link: str) -> Iterator[None]:
    folder = lab.root / "etc/network"
    if text:
        (folder / "interfaces").write_text(text)
        for phase in ("pre-up", "up", "down", "post-down"):
            (folder / f"if-{phase}.d").mkdir()
        for phase in ("pre-up", "post-down"):
            (folder / f"if-{phase}.d/bridge").symlink_to("/lib/bridge-utils/ifupdown.sh")
        lab.ip("addr flush dev eth0\nlink set eth0 down")
    lab.run("ifup", "-a")
    settle(lab)
    yield


NETWORKMANAGER = f"""[connection]
id=lan
uuid=6d1f8c2a-4a15-4f6e-9c55-1b7c0a9e1f00
type=ethernet
interface-name=eth0

[ipv4]
method=manual
address1={HOST4}/24,10.9.0.1

[ipv6]
method=manual
address1={HOST6}/64,2001:db8:9::1
"""
NETWORKD = f"""[Match]
Name=eth0

[Network]
Address={HOST4}/24
Address={HOST6}/64
Gateway=10.9.0.1
Gateway=2001:db8:9::1
IPv6AcceptRA=no
"""
IFUPDOWN = f"""auto eth0
iface eth0 inet static
  address {HOST4}/24
  gateway 10.9.0.1
iface eth0 inet6 static
  address {HOST6}/64
  gateway 2001:db8:9::1
"""


@pytest.mark.parametrize(
    ("start", "text", "back"),
    [
        pytest.param(_with_networkmanager, NETWORKMANAGER, DELETE, id="networkmanager"),
        pytest.param(_with_networkd, NETWORKD, UNDO, id="networkd"),
        pytest.param(_with_ifupdown, IFUPDOWN, DELETE, id="ifupdown"),
    ],
)
def test_bridge_goes_without_force_after_a_start_of_the_host(
    lab: Lab, start: Start, text: str, back: tuple[str, ...]
) -> None:
    with start(lab, text, "eth0"):
        held = picture.held(lab, "eth0")
        lab.virtkit(*CREATE)
    _forget(lab)
    with start(lab, "", "br0"):
        assert picture.held(lab, "br0") == held
        assert not lab.json("link", "show", "br0")[0].get("ifalias")
        lab.virtkit(*back)
        assert not [link for link in lab.json("link") if link["ifname"] == "br0"]
        assert picture.held(lab, "eth0") == held


@pytest.mark.parametrize(
    ("start", "text"),
    [
        pytest.param(_with_networkmanager, NETWORKMANAGER, id="networkmanager"),
        pytest.param(_with_networkd, NETWORKD, id="networkd"),
        pytest.param(_with_ifupdown, IFUPDOWN, id="ifupdown"),
    ],
)
def test_spanning_tree_that_is_asked_for_is_there_after_a_start_of_the_host(lab: Lab, start: Start, text: str) -> None:
    """By the rehearsal, which holds the start against what the kernel shows now."""
    with start(lab, text, "eth0"):
        before = picture.everything(lab)
        said = lab.virtkit(*CREATE, "--stp").stderr
        assert "rehearse the next start" in said
        assert "after the next start" not in said
        assert "not rehearsed" not in said
        assert lab.json("link", "show", "br0")[0]["linkinfo"]["info_data"]["stp_state"] == 1
        lab.virtkit(*UNDO)
        settle(lab)
        assert picture.everything(lab) == before


def test_bridge_that_somebody_else_made_in_its_place_is_not_ours(lab: Lab) -> None:
    """Here without a backend: there is no file that would say who made it."""
    lab.virtkit(*CREATE)
    _forget(lab)
    mac = lab.json("link", "show", "eth0")[0]["address"]
    lab.ip(f"link add br0 address {mac} type bridge\nlink set eth0 master br0")
    refused = lab.virtkit(*DELETE, check=False)
    assert (refused.returncode, "br0: was not made by virtkit" in refused.stderr) == (1, True), refused.stderr


def _forget(lab: Lab) -> None:
    """What does not outlive the power: links without a card, addresses, and /run."""
    lab.ip("link delete br0\naddr flush dev eth0\nlink set eth0 down")
    for place in ("NetworkManager", "dbus", "network", "systemd/netif"):
        for path in sorted((lab.root / "run" / place).rglob("*"), reverse=True):
            if not path.is_dir():
                path.unlink()
