from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from virtkit.core.system import System
from virtkit.vm import addresses, connection

if TYPE_CHECKING:
    from pathlib import Path

NEIGHBOURS = """\
IP address       HW type     Flags       HW address            Mask     Device
10.0.0.5         0x1         0x2         52:54:00:AA:00:01     *        br0
10.0.0.6         0x1         0x0         52:54:00:aa:00:01     *        br0
10.0.0.7         0x1         0x2         52:54:00:aa:00:02     *        br0
"""


def test_only_answered_questions_about_the_machines_own_cards_count(tmp_path: Path) -> None:
    (tmp_path / "proc/net").mkdir(parents=True)
    (tmp_path / "proc/net/arp").write_text(NEIGHBOURS)
    found = addresses._from_neighbours(System(tmp_path), {"52:54:00:aa:00:01"})
    assert found == [addresses.Address("52:54:00:aa:00:01", "10.0.0.5", 32, "arp")]


def test_the_networks_of_a_link_are_those_that_the_kernel_has() -> None:
    shown = subprocess.run(
        ["ip", "-4", "address", "show", "dev", "lo"], capture_output=True, text=True, check=False
    ).stdout
    if "127.0.0.1/8" not in shown:
        pytest.skip("the loopback link has another address here")
    assert addresses._networks(System(), "lo") == []  # 16 million addresses are not knocked at
    assert addresses._networks(System(), "no-such-link") == []


def test_loopback_link_local_and_nonsense_are_left_out() -> None:
    said = ["127.0.0.1", "::1", "fe80::1", "169.254.0.1", "1.2.3", "10.1.2.3", "2001:db8::1"]
    answer = [("AA:bb:cc:00:00:01", address, 24) for address in said]
    listed = addresses._listed(lambda: answer, "agent", {"aa:bb:cc:00:00:01"})
    assert [entry.address for entry in listed] == ["10.1.2.3", "2001:db8::1"]


def test_a_lease_is_named_as_the_source() -> None:
    with connection.open("test:///default") as libvirt:
        found = addresses.addresses(libvirt.machine("test"), System(), prime=False)
    assert [entry.source for entry in found] == ["lease"]
