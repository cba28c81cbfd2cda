from __future__ import annotations

import socket
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from net.samples import address, network
from virtkit.core.system import System
from virtkit.net import announcement
from virtkit.net.model import IPV6
from virtkit.net.packets import arp, ethernet, ndp

if TYPE_CHECKING:
    from pathlib import Path

MAC = bytes.fromhex("525400aa0011")


@pytest.mark.parametrize("forwarding", ["0", "1"])
def test_each_address_is_announced_and_a_router_says_that_it_is_one(tmp_path: Path, forwarding: str) -> None:
    folder = tmp_path / "proc/sys/net/ipv6/conf/eth0"
    folder.mkdir(parents=True)
    (folder / "forwarding").write_text(forwarding + "\n")
    shown = network((address("10.9.0.11/24"), address("2001:db8::11/64"), address("fe80::1/64")))
    frames = list(announcement.frames(System(tmp_path), shown, shown.by_name["eth0"]))
    claims = [arp.parse(frame) if kind == ethernet.ARP else ndp.parse(frame) for kind, frame in frames]
    assert claims == [
        (bytes([10, 9, 0, 11]), MAC),
        (socket.inet_pton(IPV6, "2001:db8::11"), MAC),
        (socket.inet_pton(IPV6, "fe80::1"), MAC),
    ]
    routers = {bool(frame[58] & 0x80) for kind, frame in frames if kind == ethernet.IPV6}
    assert routers == {forwarding == "1"}


def test_an_address_under_detection_is_not_announced(tmp_path: Path) -> None:
    shown = network((replace(address("2001:db8::11/64"), tentative=True),))
    assert list(announcement.frames(System(tmp_path), shown, shown.by_name["eth0"])) == []
