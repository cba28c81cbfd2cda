"""The files for a bridge: what was said for the port is said for the bridge, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.core.errors import NotSupportedError
from virtkit.core.system import System
from virtkit.net import cloudinit
from virtkit.net.backend import Wish
from virtkit.net.backends.networkd import BACKEND, render
from virtkit.net.networkd import found, unitfile
from virtkit.net.standing import Side

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.net.backend import File

MAC = "52:54:00:aa:00:11"
WISH = Wish("br0", "eth0", MAC, 1500, Side("eth0"))
ETC = "/etc/systemd/network"
LAYER3 = st.sampled_from(
    [
        ("Network", "Address=10.0.0.2/24"),
        ("Network", "# why"),
        ("Network", "DHCP=yes"),
        ("Route", "Gateway=10.0.0.1"),
        ("Route", "MultiPathRoute=10.0.0.3"),
        ("Address", "Label=lan"),
        ("DHCPv4", "RouteMetric=50"),
        ("IPv6AcceptRA", "Token=::1"),
        ("Neighbor", "Address=10.0.0.9"),
        ("RoutingPolicyRule", "Table=7"),
        ("Future", "Key=kept"),
        ("Network", "Unknown = as it is"),
    ]
)


@pytest.fixture
def system(tmp_path: Path) -> System:
    for place in (
        ETC,
        "/run/systemd/network",
        "/usr/lib/systemd/network",
        "/run/systemd/netif/links",
        "/sys/class/net/eth0",
    ):
        (tmp_path / place.lstrip("/")).mkdir(parents=True)
    made = System(tmp_path)
    made.write("/sys/class/net/eth0/ifindex", "2\n")
    made.write("/sys/class/net/eth0/address", f"{MAC}\n")
    return made


def _owned(system: System, path: str, text: str) -> None:
    """A file that networkd has configured eth0 by, and written that down since."""
    system.path(path).parent.mkdir(parents=True, exist_ok=True)
    system.write(path, text)
    system.write("/run/systemd/netif/links/2", f"# private\nADMIN_STATE=configured\nNETWORK_FILE={path}\n")


def _bridged(system: System) -> dict[str, str]:
    owner = BACKEND.owner(system, "eth0")
    assert owner
    return _texts(BACKEND.bridged(system, owner, WISH))


def _texts(files: tuple[File, ...]) -> dict[str, str]:
    return {file.path.removeprefix(f"{ETC}/"): file.text or "" for file in files}


def _said(text: str) -> list[tuple[str, str, str]]:
    return [(entry.section, entry.key, entry.value) for entry in unitfile.parse(text) if entry.key]


@given(st.lists(LAYER3, max_size=12))
def test_copy_for_the_bridge_says_all_that_the_file_said_of_layer_3(lines: list[tuple[str, str]]) -> None:
    body = "".join(f"[{section}]\n{line}\n" for section, line in lines)
    source = found.NetworkFile(f"{ETC}/20-all.network", f"# head\n[Match]\nName=en* eth*\n{body}")
    made = _texts(render.files(WISH, source, "10-virtkit-", None, alone=False))
    said = [said for said in _said(source.text) if said[0] != "Match"]
    copied = [said for said in _said(made["10-virtkit-br0.network"]) if said[0] != "Match"]
    assert copied == said
    assert "# head\n" in made["10-virtkit-br0.network"]
    port = _said(made["10-virtkit-eth0.network"])
    assert port == [("Match", "Name", "eth0"), ("Network", "Bridge", "br0"), ("Network", "LinkLocalAddressing", "no")]


def test_file_for_this_port_alone_gets_a_drop_in(system: System) -> None:
    _owned(system, f"{ETC}/20-lan.network", "[Match]\nName=eth0\nMACAddress=52:54:00:AA:00:11\n[Network]\nDHCP=yes\n")
    made = _bridged(system)
    assert set(made) == {"10-virtkit-br0.netdev", "10-virtkit-eth0.network", "20-lan.network.d/virtkit-br0.conf"}
    assert made["20-lan.network.d/virtkit-br0.conf"].endswith("[Match]\nName=\nMACAddress=\nName=br0\n")
    assert ("NetDev", "MACAddress", MAC) in _said(made["10-virtkit-br0.netdev"])
    assert ("Bridge", "STP", "no") in _said(made["10-virtkit-br0.netdev"])


def test_port_that_is_found_by_its_mac_is_not_taken_for_the_bridge(system: System) -> None:
    _owned(system, f"{ETC}/20-lan.network", "[Match]\nMACAddress=5254.00aa.0011\n[Network]\nDHCP=yes\n")
    port = _said(_bridged(system)["10-virtkit-eth0.network"])
    assert port[:2] == [("Match", "MACAddress", MAC), ("Match", "Name", "!br0")]


def test_what_belongs_to_the_port_stays_there(system: System) -> None:
    text = "[Match]\nName=eth0\n[Link]\nMTUBytes=9000\n[Network]\nVLAN=vlan5\nDHCP=yes\n[FairQueueing]\nParent=root\n"
    _owned(system, f"{ETC}/20-lan.network", text)
    made = _bridged(system)
    port, bridge = (_said(made[f"10-virtkit-{name}.network"]) for name in ("eth0", "br0"))
    assert {("Network", "VLAN", "vlan5"), ("FairQueueing", "Parent", "root"), ("Link", "MTUBytes", "9000")} <= set(port)
    assert ("Network", "DHCP", "yes") not in port
    assert bridge == [("Match", "Name", "br0"), ("Link", "MTUBytes", "9000"), ("Network", "DHCP", "yes")]


def test_lines_that_name_the_port_name_the_bridge(system: System) -> None:
    rule = "[RoutingPolicyRule]\nIncomingInterface=eth0\n"
    text = f"[Match]\nName=eth0\n[Address]\nAddress=10.0.0.2/24\nLabel=eth0:1\n{rule}"
    _owned(system, f"{ETC}/20-lan.network", text)
    bridge = _said(_bridged(system)["10-virtkit-br0.network"])
    assert ("Address", "Label", "br0:1") in bridge
    assert ("RoutingPolicyRule", "IncomingInterface", "br0") in bridge


def test_vlan_or_bond_as_port_is_named(system: System) -> None:
    for name, value in (("ifindex", "2\n"), ("address", f"{MAC}\n")):
        system.path("/sys/class/net/bond0.7").mkdir(exist_ok=True)
        system.write(f"/sys/class/net/bond0.7/{name}", value)
    _owned(system, f"{ETC}/30-vlan.network", "[Match]\nName=bond0.7\n[Network]\nDHCP=yes\n")
    owner = BACKEND.owner(system, "bond0.7")
    assert owner
    made = _texts(BACKEND.bridged(system, owner, Wish("br7", "bond0.7", MAC, 1500, Side("bond0.7"))))
    port = _said(made["10-virtkit-bond0.7.network"])
    assert port[:2] == [("Match", "Name", "bond0.7"), ("Network", "Bridge", "br7")]


def test_file_that_takes_the_bridge_first_is_gone_around(system: System) -> None:
    system.write(f"{ETC}/05-bridges.network", "[Match]\nType=bridge\n[Network]\nDHCP=no\n")
    _owned(system, f"{ETC}/20-lan.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    assert {"00-virtkit-br0.network", "00-virtkit-eth0.network", "00-virtkit-br0.netdev"} == set(_bridged(system))


def test_link_file_that_goes_by_the_mac_is_kept_from_the_bridge(system: System) -> None:
    system.write(f"{ETC}/10-lan.link", f"[Match]\nMACAddress={MAC}\n[Link]\nName=eth0\n")
    system.write(f"{ETC}/11-fine.link", f"[Match]\nPermanentMACAddress={MAC}\n[Link]\nName=eth0\n")
    _owned(system, f"{ETC}/20-lan.network", "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    made = _bridged(system)
    assert made["10-lan.link.d/virtkit-br0.conf"].endswith("[Match]\nType=ether\n")
    assert not [name for name in made if name.startswith("11-fine")]


@pytest.mark.parametrize(
    ("path", "writer"),
    [
        (f"{ETC}/10-cloud-init-eth0.network", cloudinit.WRITER),
        ("/run/systemd/network/70-eth0.network", "the host's start (kernel command line or initial RAM disk)"),
        ("/usr/lib/systemd/network/80-wired.network", ""),
    ],
)
def test_owner_says_who_else_writes_the_file(system: System, path: str, writer: str) -> None:
    _owned(system, path, "[Match]\nName=eth0\n[Network]\nDHCP=yes\n")
    owner = BACKEND.owner(system, "eth0")
    assert owner
    assert (owner.files, owner.writer) == ((path,), writer)


@pytest.mark.parametrize("state", ["ADMIN_STATE=unmanaged\n", "ADMIN_STATE=configured\n", ""])
def test_link_that_networkd_leaves_alone_has_another_owner(system: System, state: str) -> None:
    system.write("/run/systemd/netif/links/2", state)
    assert BACKEND.owner(system, "eth0") is None


def test_netplans_files_are_netplans(system: System) -> None:
    _owned(system, "/run/systemd/network/10-netplan-eth0.network", "[Match]\nName=eth0\n")
    assert BACKEND.owner(system, "eth0") is None


def test_first_directory_wins_and_a_mask_hides(system: System) -> None:
    system.write(f"{ETC}/20-a.network", "[Match]\nName=a\n")
    system.write("/usr/lib/systemd/network/20-a.network", "[Match]\nName=b\n")
    system.write("/usr/lib/systemd/network/30-c.network", "[Match]\nName=c\n")
    system.path(f"{ETC}/30-c.network").symlink_to("/dev/null")
    assert [file.path for file in found.network_files(system)] == [f"{ETC}/20-a.network"]


def test_bridge_of_somebody_else_is_not_released(system: System) -> None:
    system.write(f"{ETC}/br0.netdev", "[NetDev]\nName=br0\nKind=bridge\n")
    with pytest.raises(NotSupportedError, match=r"br0\.netdev: is for br0, and virtkit did not write it"):
        BACKEND.released(system, "br0", "eth0")


def test_macvlan_over_the_port_is_refused_by_name(system: System) -> None:
    _owned(system, f"{ETC}/20-lan.network", "[Match]\nName=eth0\n[Network]\nMACVLAN=mv0\n")
    with pytest.raises(NotSupportedError, match="MACVLAN is mv0"):
        _bridged(system)


def test_globs_match_as_in_systemd() -> None:
    assert found.matches(["en*", "eth0"], "eth0")
    assert found.matches(["e?h0"], "eth0")
    assert found.matches(["!lo"], "eth0")
    assert not found.matches(["!lo", "!br*"], "br0")
    assert not found.matches(["!lo", "br*"], "eth0")
    assert found.matches(["!lo", "br*"], "br0")


def test_exclamation_mark_is_for_its_whole_line() -> None:
    """As config_parse_match_strv() and net_condition_test_strv() of systemd take it."""
    file = found.NetworkFile("/x", "[Match]\nName=!lo br*\nName=en*\n", (("/y", "[Match]\nDriver=\nType=!wlan\n"),))
    assert file.patterns("Name") == ["!lo", "!br*", "en*"]
    assert (file.patterns("Driver"), file.patterns("Type")) == ([], ["!wlan"])
