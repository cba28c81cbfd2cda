"""Neighbours that have learned something else meanwhile know at once where the addresses are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netns.lab import HOST_MAC

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

STRANGER = "02:00:00:00:00:99"
# Not those that the gateway is asked from: being asked, it would learn them from the question.
ADDRESSES = ("10.9.0.12", "2001:db8:9::12")


def _known(lab: Lab) -> list[str]:
    shown = lab.run("ip", "neigh", "show", "dev", "lan0", inside=lab.gateway).stdout.splitlines()
    lines = [line.split() for line in shown]
    return [words[words.index("lladdr") + 1] for words in lines if words[0] in ADDRESSES and "lladdr" in words]


def test_kernel_of_the_gateway_learns_where_the_addresses_are(lab: Lab) -> None:
    lab.ip("addr add 10.9.0.12/24 dev eth0\naddr add 2001:db8:9::12/64 dev eth0 nodad")
    for verb in (("net", "bridge", "create", "br0", "--port", "eth0", "-y"), ("undo", "-y")):
        for address in ADDRESSES:
            lab.ip(f"neigh replace {address} lladdr {STRANGER} dev lan0 nud stale", inside=lab.gateway)
        assert _known(lab) == [STRANGER, STRANGER]
        lab.virtkit(*verb)
        assert _known(lab) == [HOST_MAC, HOST_MAC]
