"""What of the host an ordinary user's machines can have: no network of libvirt's, and a bridge if root allows it.

QEMU asks its helper for a tap in the bridge: a program that may (set-user-ID, or CAP_NET_ADMIN), and that reads in
bridge.conf which bridges are for everybody (https://wiki.qemu.org/Features/HelperNetworking).
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError, NotSupportedError

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection

HELPERS = ("/usr/lib/qemu/qemu-bridge-helper", "/usr/libexec/qemu-bridge-helper")  # Debian's, Fedora's
RULES = "/etc/qemu/bridge.conf"


def require(libvirt: Connection, name: str, system: System, *, bridge: str = "", network: str = "") -> None:
    """NotSupportedError for what is root's, with what root has to type; root's own machines have all of it."""
    if not libvirt.session:
        return
    if network:
        found = f"{name}: network {network} is root's, and this user's machines cannot join it"
        raise NotSupportedError(found, hint="--user-net, or (vm create) no --network: QEMU's own NAT needs no root")
    if bridge:
        require_bridge(name, bridge, system)


def require_log(libvirt: Connection, name: str, path: str, system: System) -> None:
    """NotSupportedError for a log that libvirt, who runs as the user, could not write: the machine would not start."""
    place = system.path(path if system.exists(path) else os.path.dirname(path))
    if libvirt.session and path and not os.access(place, os.W_OK):
        raise NotSupportedError(f"{name}: you may not write to {path}", hint="a file below your home")


def require_bridge(name: str, bridge: str, system: System) -> None:
    helper = next((path for path in HELPERS if system.exists(path)), "")
    if not helper:
        found = f"{name}: bridge {bridge} needs QEMU's bridge helper, which is not installed"
        raise NotFoundError(found, hint="apt install qemu-system-common   (dnf install qemu-common)")
    if not _may(system, helper):
        found = f"{name}: bridge {bridge} is root's, and {helper} may not open it to others"
        raise NotSupportedError(found, hint=f"sudo chmod u+s {helper}")
    if bridge not in _allowed(system, bridge):
        found = f"{name}: bridge {bridge} is root's, and {RULES} does not open it to others"
        raise NotSupportedError(
            found, hint=f"sudo mkdir -p {os.path.dirname(RULES)}; echo allow {bridge} | sudo tee -a {RULES}"
        )


def _may(system: System, helper: str) -> bool:
    path = system.path(helper)
    return bool(path.stat().st_mode & stat.S_ISUID) or "security.capability" in os.listxattr(path)


def _allowed(system: System, bridge: str) -> set[str]:
    """With ``bridge`` in it where the rules name it or all, or are not for us to read: the helper will say."""
    try:
        lines = system.path(RULES).read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return set()
    except OSError:
        return {bridge}
    words = [line.split() for line in lines]
    if any(line[:1] == ["include"] for line in words):
        return {bridge}
    found = {line[1] for line in words if line[:1] == ["allow"] and len(line) > 1}
    return found | ({bridge} if "all" in found else set())
