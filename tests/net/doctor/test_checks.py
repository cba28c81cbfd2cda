"""What no kernel of a test has: Wi-Fi cards, and other hypervisors around this host."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from net.samples import BRIDGE, PORT, link, network
from virtkit.core.system import System
from virtkit.net.doctor.checks import port_security, wifi
from virtkit.net.doctor.finding import Harm
from virtkit.net.doctor.scene import Scene

if TYPE_CHECKING:
    from pathlib import Path


def test_a_macvtap_on_wifi_is_mute_and_a_port_that_is_wifi_may_be(tmp_path: Path) -> None:
    (tmp_path / "sys/class/net/eth0/phy80211").mkdir(parents=True)
    tap = replace(link(BRIDGE), index=9, name="macvtap0", kind="macvtap", lower=PORT)
    shown = network(joined=True)
    scene = Scene(System(tmp_path), replace(shown, links=(*shown.links, tap)))
    port, mute = wifi.CHECK.find(scene)
    assert (port.link, port.harm, port.mend) == ("eth0", Harm.RISK, ())
    assert (mute.link, mute.harm, mute.seen) == ("macvtap0", Harm.MUTE, "macvtap0 stands on eth0, which is Wi-Fi")
    assert "NAT" in mute.advice


def test_cards_with_a_cable_are_no_wifi(tmp_path: Path) -> None:
    assert list(wifi.CHECK.find(Scene(System(tmp_path), network(joined=True)))) == []


@pytest.mark.parametrize(
    ("vendor", "product", "advice"),
    [
        ("VMware, Inc.", "VMware7,1", "Forged transmits"),
        ("Microsoft Corporation", "Virtual Machine", "-MacAddressSpoofing On"),
        ("Microsoft Corporation", "Surface Laptop", ""),
        ("OpenStack Foundation", "OpenStack Nova", "--disable-port-security"),
        ("Amazon EC2", "m5.large", "VPC"),
        ("Dell Inc.", "PowerEdge R740", ""),
    ],
)
def test_a_host_inside_another_hypervisor_is_told_the_setting_there(
    tmp_path: Path, vendor: str, product: str, advice: str
) -> None:
    (tmp_path / "sys/class/dmi/id").mkdir(parents=True)
    (tmp_path / "sys/class/dmi/id/sys_vendor").write_text(vendor)
    (tmp_path / "sys/class/dmi/id/product_name").write_text(product)
    found = list(port_security.CHECK.find(Scene(System(tmp_path), network(joined=True))))
    assert [finding.link for finding in found] == (["eth0"] if advice else [])
    assert all(advice in finding.advice for finding in found)
