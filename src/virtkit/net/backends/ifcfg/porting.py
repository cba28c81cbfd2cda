"""One more port of a bridge that these files make, and one less: a port's own file says BRIDGE= (sysconfig.txt)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.net.backend import File
from virtkit.net.backends.ifcfg.checks import ELSEWHERE
from virtkit.net.backends.ifcfg.folder import SCRIPTS
from virtkit.net.backends.ifcfg.shell import TRUE, assignment, joined

if TYPE_CHECKING:
    from virtkit.net.backends.ifcfg.folder import Folder
    from virtkit.net.backends.ifcfg.shell import ShellFile

NEW = "# a further port, by virtkit\n"
ADDRESSES = re.compile(r"IPADDR\d*|IPV6ADDR\w*")
LEASED = {"BOOTPROTO": ("dhcp", "bootp", "ibft"), "DHCPV6C": tuple(TRUE), "IPV6_AUTOCONF": tuple(TRUE)}


def added(folder: Folder, bridge: str, port: str) -> tuple[File, ...]:
    """NotSupportedError, BusyError: the port's file gives it addresses, or to somebody else."""
    file = folder.of(port)
    if file is None:
        return (File(f"{SCRIPTS}/ifcfg-{port}", _new(folder.of(bridge), bridge, port)),)
    if file.known("BRIDGE") == bridge:
        return ()
    for key, what in ELSEWHERE.items():
        if master := file.known(key):
            raise BusyError(f"{file.path}: {key} is {master}: {port} belongs to {what} already")
    for line in file.lines:
        if ADDRESSES.fullmatch(line.key) or (line.value or "").lower() in LEASED.get(line.key, ()):
            raise NotSupportedError(f"{file.path}: has {line.raw.strip()}, expected no address on a bridge's port")
    return (File(file.path, joined([*(line.raw for line in file.lines), assignment("BRIDGE", bridge)])),)


def removed(folder: Folder, bridge: str, port: str) -> tuple[File, ...]:
    """A file of ours goes; another one loses its BRIDGE=."""
    file = folder.of(port)
    if file is None or file.known("BRIDGE") != bridge:
        return ()
    if file.lines[0].raw == NEW:
        return (File(file.path, None),)
    return (File(file.path, joined(line.raw for line in file.lines if line.key != "BRIDGE")),)


def _new(above: ShellFile | None, bridge: str, port: str) -> str:
    said = {"DEVICE": port, "ONBOOT": "yes", "BOOTPROTO": "none", "BRIDGE": bridge}
    if above and above.is_false("NM_CONTROLLED"):
        said["NM_CONTROLLED"] = "no"
    return NEW + "".join(assignment(key, value) for key, value in said.items())
