"""The detour that frames take while a port changes hands: it leaves nothing behind, and is no condition."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from netns import picture
from netns.lab import HOST4, settle

if TYPE_CHECKING:
    from netns.lab import Lab

pytestmark = pytest.mark.netns

CREATE = ("net", "bridge", "create", "br0", "--port", "eth0", "-y")


def _tables(lab: Lab) -> str:
    return lab.run("nft", "list", "tables").stdout


def test_nothing_of_the_detour_is_left(lab: Lab) -> None:
    settle(lab)
    lab.virtkit(*CREATE)
    assert _tables(lab) == ""
    assert {link["ifname"] for link in lab.json("link")} == {"lo", "eth0", "br0"}
    lab.virtkit("undo", "-y")
    assert _tables(lab) == ""


@pytest.mark.parametrize("times", [1, 2])
def test_rules_end_with_a_process_that_is_killed(lab: Lab, times: int) -> None:
    """One rule is there, or both; and the reverse path filter of the port is loose."""
    lab.run("sysctl", "-qw", "net.ipv4.conf.eth0.rp_filter=1")
    settle(lab)
    before = picture.everything(lab)
    assert lab.doomed(f"PacketFilter.add return {times}", *CREATE, "--no-confirm").returncode == -signal.SIGKILL
    lab.run("ping", "-c", "1", "-W", "2", HOST4, inside=lab.gateway)
    assert _tables(lab) == ""
    lab.virtkit("undo", "-y", check=False)
    assert picture.everything(lab) == before
    assert lab.run("sysctl", "-n", "net.ipv4.conf.eth0.rp_filter").stdout == "1\n"


def test_move_goes_without_where_the_rules_are_refused(lab: Lab) -> None:
    """As by a kernel that does not know them; here because somebody has tables of their names."""
    lab.run("nft", "add table netdev virtkit-eth0; add table netdev virtkit-vkp2")
    settle(lab)
    before, held = picture.everything(lab), picture.held(lab, "eth0")
    lab.virtkit(*CREATE)
    assert picture.held(lab, "br0") == held
    lab.virtkit("undo", "-y")
    assert picture.everything(lab) == before
    assert _tables(lab).count("virtkit-") == 2
