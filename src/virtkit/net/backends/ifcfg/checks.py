"""What these files cannot say, or would say otherwise after a rewrite: refused by name, with the place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError

if TYPE_CHECKING:
    from virtkit.net.backend import Wish
    from virtkit.net.backends.ifcfg.folder import Folder
    from virtkit.net.backends.ifcfg.shell import ShellFile

PROTOCOLS = ("", "none", "static", "dhcp", "bootp")
ELSEWHERE = {"MASTER": "a bond", "TEAM_MASTER": "a team", "BRIDGE": "a bridge", "OVS_BRIDGE": "an Open vSwitch bridge"}


def check_link(folder: Folder, port: ShellFile, wish: Wish) -> None:
    """``port`` is plainly set up, and nothing else in the files counts on it as it is. VLANs on it go on working."""
    for key, what in ELSEWHERE.items():
        if master := port.known(key):
            raise BusyError(f"{port.path}: {key} is {master}: {wish.port} belongs to {what} already")
    if port.get("BOOTPROTO").lower() not in PROTOCOLS:
        known = "none, static or dhcp"
        raise NotSupportedError(f"{port.path}: BOOTPROTO is {port.get('BOOTPROTO')}, expected {known}")
    if port.known("TYPE").startswith("OVS") or port.known("TYPE") in ("Wireless", "xDSL", "Modem"):
        raise NotSupportedError(f"{port.path}: TYPE is {port.known('TYPE')}, expected an Ethernet link, VLAN or bond")
    if taken := folder.of(wish.bridge):
        raise BusyError(f"{wish.bridge}: is defined in {taken.path}, expected a free name")
    for name, file in folder.files.items():
        if file.known("ETH") == wish.port:
            device = folder.device(name, file)
            raise BusyError(
                f"{file.path}: {device} (PPPoE) stands on {wish.port} and would lose its frames to the bridge"
            )


def check_bridge(folder: Folder, file: ShellFile, port: ShellFile, bridge: str) -> None:
    if file.known("TYPE") != "Bridge":
        raise NotSupportedError(f"{file.path}: TYPE is {file.known('TYPE') or 'missing'}, expected Bridge")
    if port.known("BRIDGE") != bridge:
        raise NotSupportedError(f"{port.path}: BRIDGE is {port.known('BRIDGE') or 'missing'}, expected {bridge}")
    check_alone(folder, bridge, folder.device(port.path.rpartition("/")[2], port))


def check_alone(folder: Folder, bridge: str, port: str) -> None:
    """The bridge has no other port in these files."""
    for name, file in folder.files.items():
        if file.known("BRIDGE") == bridge and (device := folder.device(name, file)) != port:
            raise BusyError(f"{file.path}: {device} is a port of {bridge} too, expected {port} alone")
