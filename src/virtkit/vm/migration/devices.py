"""Whether its devices can come along, and find their counterparts there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError
from virtkit.vm import library
from virtkit.vm.devices import BRIDGE, NETWORK
from virtkit.vm.library import Handle
from virtkit.vm.migration.way import Obstacle
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Nic
    from virtkit.vm.domain import Domain
    from virtkit.vm.xml import Element

_NO_NETWORK, _NO_INTERFACE = 43, 57  # VIR_ERR_NO_NETWORK, VIR_ERR_NO_INTERFACE


def bound(domain: Domain) -> Iterator[Obstacle]:
    """What is a piece of this host."""
    for device in domain.host_devices:
        node, address = device.node, device.pci
        kind = node.get("type", "device")
        alias = f"virsh detach-device-alias {domain.name} {_alias(node)} --live"
        mend = f"virtkit vm unplug {domain.name} pci {address}" if address else alias
        yield Obstacle(f"host device: {kind} {address or _alias(node)} is passed through, expected none", mend)
    for node in domain.node.findall("devices/filesystem"):
        target = node.find("target")
        tag = "" if target is None else target.get("dir", "")
        mend = f"umount it in the guest, virsh detach-device-alias {domain.name} {_alias(node)} --live"
        yield Obstacle(f"file system: {tag} of this host is shared with the guest, expected none", mend)


def cards(domain: Domain, there: Connection) -> Iterator[Obstacle]:
    for nic in domain.nics:
        if nic.type == NETWORK:
            yield from _network(nic, there)
        elif nic.type == BRIDGE:
            yield from _link(nic, there, "bridge", f"virtkit net bridge create {nic.source} --port INTERFACE")
        elif nic.type == "direct":
            yield from _link(nic, there, "link", f"ip link show {nic.source}")


def _network(nic: Nic, there: Connection) -> Iterator[Obstacle]:
    where = there.hostname
    try:
        network = Handle(there.host.ask(object, "networkLookupByName", nic.source), nic.source)
    except VirtkitError as error:
        if library.error_number(error.__cause__) != _NO_NETWORK:
            raise
        mend = f"virsh net-dumpxml {nic.source} > net.xml; virsh --connect {there.uri} net-define net.xml"
        yield Obstacle(f"network card {nic.mac}: {where} has no network {nic.source}", mend)
        return
    if not network.ask(int, "isActive"):
        found = f"network card {nic.mac}: network {nic.source} of {where} is not started"
        yield Obstacle(found, f"virsh --connect {there.uri} net-start {nic.source}")


def _link(nic: Nic, there: Connection, kind: str, mend: str) -> Iterator[Obstacle]:
    """Nothing where libvirt there cannot list links: it says so when the machine arrives."""
    try:
        link = Handle(there.host.ask(object, "interfaceLookupByName", nic.source), nic.source)
        is_kind = kind != "bridge" or parse(link.ask(str, "XMLDesc", 0)).get("type") == "bridge"
    except VirtkitError as error:
        if library.error_number(error.__cause__) != _NO_INTERFACE:
            return
        is_kind = False
    if not is_kind:
        yield Obstacle(f"network card {nic.mac}: {there.hostname} has no {kind} {nic.source}", f"{mend}, on that host")


def _alias(device: Element) -> str:
    alias = device.find("alias")
    return "" if alias is None else alias.get("name", "")
