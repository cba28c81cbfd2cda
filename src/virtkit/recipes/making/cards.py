"""The network cards of a new machine, each on something that is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError
from virtkit.vm import forwards, ordinary
from virtkit.vm.blueprint import Nic

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection

USUAL = "default"  # libvirt's NAT network, which it makes when it is installed


def usual(name: str, libvirt: Connection) -> tuple[Nic, ...]:
    """One on libvirt's NAT, or on QEMU's own for an ordinary user's machines. UsageError where that is not there."""
    if libvirt.session:
        return (Nic(user=True),)
    try:
        libvirt.bridge_of(USUAL)
    except (NotFoundError, NotSupportedError) as error:
        found = f"{name}: no network is said, and the usual one cannot be: {error.message}"
        raise UsageError(found, hint=f"--bridge br0, --no-network, or: {error.hint}") from error
    return (Nic(network=USUAL),)


def require(name: str, nics: tuple[Nic, ...], libvirt: Connection, system: System) -> None:
    """NotFoundError for a bridge or a network that is not there; NotSupportedError for a user who has neither."""
    for nic in nics:
        ordinary.require(libvirt, name, system, network=nic.network)
        if nic.network:
            libvirt.bridge_of(nic.network)
        if nic.bridge and not system.exists(f"/sys/class/net/{nic.bridge}/bridge"):
            hint = f"virtkit net bridge create {nic.bridge} --port eth0"
            raise NotFoundError(f"{name}: bridge {nic.bridge} is not there", hint=hint)
        ordinary.require(libvirt, name, system, bridge=nic.bridge)
        forwards.require(libvirt, name, nic.forwards)
