from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import BusyError, NotSupportedError, SystemCallError
from virtkit.core.system import System
from virtkit.net.backend import Wish
from virtkit.net.backends.networkmanager import BACKEND, _check_keyfile, _check_name, _check_profile
from virtkit.net.networkmanager import daemon, profiles
from virtkit.net.networkmanager.keyfile import parse
from virtkit.net.networkmanager.profiles import PERSISTENT, RUNTIME, Profile
from virtkit.net.standing import Side

if TYPE_CHECKING:
    from pathlib import Path

WISH = Wish("br0", "eth0", "52:54:00:aa:00:11", 1500, Side("eth0"))
ETHERNET = "[connection]\nid=lan\nuuid=1\ntype=ethernet\n"
SHOWN = """GENERAL.DEVICE:br0
GENERAL.STATE:100 (connected (externally))
GENERAL.CON-UUID:1-2
GENERAL.DBUS-PATH:/org/freedesktop/NetworkManager/Devices/4
DHCP4.OPTION[1]:dhcp_client_identifier = 01:52:54:00:aa:00:11
DHCP6.OPTION[1]:iaid = 2b:50:67:35
"""


def _put(root: Path, path: str, text: str) -> None:
    place = root / path.lstrip("/")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def test_profile_in_run_goes_before_one_in_etc_and_others_are_none(tmp_path: Path) -> None:
    _put(tmp_path, f"{PERSISTENT}/a.nmconnection", ETHERNET)
    _put(tmp_path, f"{RUNTIME}/b.nmconnection", ETHERNET)
    _put(tmp_path, f"{PERSISTENT}/.hidden.nmconnection", "not read")
    _put(tmp_path, f"{PERSISTENT}/README", "not read")
    found = profiles.by_uuid(System(tmp_path), "1")
    assert found is not None
    assert found.path == f"{RUNTIME}/b.nmconnection"
    assert len(list(profiles.all_of(System(tmp_path)))) == 2


@pytest.mark.parametrize(
    ("more", "bound", "external"),
    [
        ("", False, False),
        ("interface-name=eth0\n", True, False),
        ("[802-3-ethernet]\nmac-address=52:54:00:AA:00:11\n", True, False),
        ("[.nmmeta]\nnm-generated=true\n", False, False),
        ("[.nmmeta]\nnm-generated=true\nvolatile=true\nexternal=true\n", False, True),
    ],
)
def test_knows_what_a_profile_is_for(more: str, *, bound: bool, external: bool) -> None:
    profile = Profile("x", parse(ETHERNET + more))
    assert (profile.bound, profile.external) == (bound, external)


def test_who_writes_it_anew_is_named() -> None:
    cloud = Profile(f"{PERSISTENT}/cloud-init-eth0.nmconnection", parse(ETHERNET))
    other = Profile("x", parse(f"{ETHERNET}[user]\n{profiles.ORIGIN}=somebody\n"))
    assert (cloud.writer, other.writer, Profile("x", parse(ETHERNET)).writer) == ("cloud-init", "somebody", "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{ETHERNET}[user]\n{profiles.ORIGIN}=nm-initrd-generator\n", "the initramfs makes it anew at each start"),
        (ETHERNET.replace("ethernet", "infiniband"), "type is infiniband, expected one of"),
    ],
)
def test_refuses_profiles_that_cannot_be_a_ports(text: str, said: str) -> None:
    with pytest.raises(NotSupportedError, match=said):
        _check_profile(Profile("/run/x", parse(text)), WISH)
    with pytest.raises(BusyError, match="is a port of bond0 already"):
        _check_profile(Profile("/run/x", parse(f"{ETHERNET}master=bond0\n")), WISH)


def test_ifcfg_profile_is_refused_with_the_way_to_a_keyfile() -> None:
    with pytest.raises(NotSupportedError, match="through its plug-in ifcfg-rh") as caught:
        _check_keyfile("/etc/sysconfig/network-scripts/ifcfg-eth0")
    assert caught.value.hint == "nmcli connection migrate"


def test_second_profile_for_the_bridge_is_named_with_the_way_to_be_rid_of_it(tmp_path: Path) -> None:
    _put(tmp_path, f"{PERSISTENT}/old.nmconnection", "[connection]\nuuid=9\ntype=bridge\ninterface-name=br0\n")
    with pytest.raises(BusyError, match=r"old\.nmconnection: is a profile for br0 already") as caught:
        _check_name(System(tmp_path), "br0", "1")
    assert caught.value.hint == "nmcli connection delete 9"
    _check_name(System(tmp_path), "br0", "9")
    _put(tmp_path, f"{PERSISTENT}/br1.nmconnection", "[connection]\nuuid=8\ntype=vpn\n")
    with pytest.raises(BusyError, match=r"br1\.nmconnection: is a profile for br1 already"):
        _check_name(System(tmp_path), "br1", "1")


def test_unreadable_and_endless_profiles_are_errors(tmp_path: Path) -> None:
    _put(tmp_path, f"{PERSISTENT}/a.nmconnection", "#" * (profiles.MOST + 1))
    with pytest.raises(NotSupportedError, match="size is over 1048576 bytes"):
        profiles.by_uuid(System(tmp_path), "1")
    with pytest.raises(SystemCallError, match="read /etc/x: no such file"):
        profiles.read(System(tmp_path), "/etc/x")


def test_host_without_networkmanager_is_asked_nothing(tmp_path: Path) -> None:
    """Not even nmcli, which is not installed there."""
    _put(tmp_path, "/sys/class/net/eth0/ifindex", "2\n")
    assert BACKEND.owner(System(tmp_path), "eth0") is None
    _put(tmp_path, f"{daemon.DEVICES}/2", "[device]\nmanaged=false\n")
    assert BACKEND.owner(System(tmp_path), "eth0") is None


def test_reads_what_nmcli_shows() -> None:
    device = daemon._device(SHOWN)
    assert (device.state, device.said, device.uuid) == (100, "connected (externally)", "1-2")
    assert device.lease4 == {"dhcp_client_identifier": "01:52:54:00:aa:00:11"}
    assert device.lease6 == {"iaid": "2b:50:67:35"}
