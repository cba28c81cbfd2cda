from __future__ import annotations

from typing import TYPE_CHECKING

from net.samples import address, network, standing
from virtkit.core.system import System
from virtkit.net import settings
from virtkit.net.actions import CarrySettings

if TYPE_CHECKING:
    from pathlib import Path

ADVERTISED = 2  # IFAPROT_KERNEL_RA


def _set(root: Path, group: str, link: str, **values: str) -> None:
    folder = root / f"proc/sys/net/{group}/{link}"
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in values.items():
        (folder / name).write_text(value + "\n")


def test_only_what_a_new_link_would_not_have_is_carried(tmp_path: Path) -> None:
    _set(tmp_path, "ipv4/conf", "eth0", rp_filter="0", arp_ignore="1", mc_forwarding="1")
    _set(tmp_path, "ipv4/conf", "default", rp_filter="0", arp_ignore="0", mc_forwarding="0")
    _set(tmp_path, "ipv4/neigh", "eth0", retrans_time="10", retrans_time_ms="100", gc_stale_time="30")
    _set(tmp_path, "ipv4/neigh", "default", retrans_time="20", retrans_time_ms="200", gc_stale_time="60")
    carried = settings.to_carry(System(tmp_path), standing(network()).port)
    assert carried == {"ipv4/conf/arp_ignore": "1", "ipv4/neigh/gc_stale_time": "30"}


def test_what_a_router_advertised_needs_a_bridge_that_listens_although_it_forwards(tmp_path: Path) -> None:
    _set(tmp_path, "ipv6/conf", "eth0", accept_ra="1", forwarding="0")
    _set(tmp_path, "ipv6/conf", "default", accept_ra="1", forwarding="0")
    side = standing(network((address("2001:db8::5/64", protocol=ADVERTISED),))).port
    assert settings.to_carry(System(tmp_path), side) == {}
    _set(tmp_path, "ipv6/conf", "eth0", accept_ra="2", forwarding="1")
    _set(tmp_path, "ipv6/conf", "default", accept_ra="1", forwarding="1")
    assert settings.to_carry(System(tmp_path), side) == {"ipv6/conf/accept_ra": "2"}


def test_undo_leaves_alone_what_a_daemon_set_meanwhile(tmp_path: Path) -> None:
    system = System(tmp_path)
    _set(tmp_path, "ipv4/conf", "br0", arp_ignore="0", rp_filter="0")
    action = CarrySettings("br0", "eth0", {"ipv4/conf/arp_ignore": "1", "ipv4/conf/rp_filter": "2"})
    before = action.capture(system)
    action.apply(system, print)
    action.verify(system)
    _set(tmp_path, "ipv4/conf", "br0", rp_filter="1")
    action.undo(system, before)
    assert action.capture(system) == {"ipv4/conf/arp_ignore": "0", "ipv4/conf/rp_filter": "1"}
