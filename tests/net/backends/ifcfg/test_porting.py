"""A port's own file says BRIDGE=; one that virtkit made goes with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.core.system import System
from virtkit.net.backend import File
from virtkit.net.backends.ifcfg import porting
from virtkit.net.backends.ifcfg.folder import SCRIPTS, Folder

if TYPE_CHECKING:
    from pathlib import Path

BRIDGE = "DEVICE=br0\nTYPE=Bridge\nONBOOT=yes\nNM_CONTROLLED=no\n"
PATH = f"{SCRIPTS}/ifcfg-eth1"


def folder(root: Path, **files: str) -> Folder:
    place = root / SCRIPTS[1:]
    place.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (place / f"ifcfg-{name}").write_text(text)
    return Folder(System(root))


def test_new_file_says_what_the_bridges_says_of_networkmanager_and_goes_again(tmp_path: Path) -> None:
    (made,) = porting.added(folder(tmp_path, br0=BRIDGE), "br0", "eth1")
    assert made.path == PATH
    assert made.text is not None
    assert {"DEVICE=eth1", "ONBOOT=yes", "BOOTPROTO=none", "BRIDGE=br0", "NM_CONTROLLED=no"} < set(
        made.text.split("\n")
    )
    there = folder(tmp_path, br0=BRIDGE, eth1=made.text)
    assert porting.added(there, "br0", "eth1") == ()
    assert porting.removed(there, "br0", "eth1") == (File(PATH, None),)


def test_file_that_is_there_gains_a_line_and_loses_it(tmp_path: Path) -> None:
    own = "# mine\nDEVICE=eth1\nIPV6INIT=no\nBOOTPROTO=none\n"
    (made,) = porting.added(folder(tmp_path, br0=BRIDGE, eth1=own), "br0", "eth1")
    assert made == File(PATH, own + "BRIDGE=br0\n")
    assert porting.removed(folder(tmp_path, eth1=own + "BRIDGE=br0\n"), "br0", "eth1") == (File(PATH, own),)
    assert porting.removed(folder(tmp_path, eth1=own), "br0", "eth1") == ()


@pytest.mark.parametrize(
    "line", ["IPADDR=10.9.0.5", "IPADDR1=10.9.0.5", "BOOTPROTO=dhcp", "DHCPV6C=yes", "IPV6ADDR=fd00::1/64"]
)
def test_port_with_addresses_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(NotSupportedError, match=line):
        porting.added(folder(tmp_path, br0=BRIDGE, eth1=f"DEVICE=eth1\n{line}\n"), "br0", "eth1")


def test_port_of_another_bridge_or_bond_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BusyError, match="MASTER is bond0"):
        porting.added(folder(tmp_path, eth1="DEVICE=eth1\nMASTER=bond0\n"), "br0", "eth1")
