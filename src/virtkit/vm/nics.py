"""Moves a machine's network card to another bridge while it runs, and proves it in the kernel."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotFoundError, NotSupportedError, UsageError, VerifyError
from virtkit.vm import library
from virtkit.vm.devices import BRIDGE, NETWORK

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.vm.devices import Nic
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

LINK_DOWN_SECONDS = 1.0  # long enough for a guest's DHCP client to see the carrier go


class Place(NamedTuple):
    """Where a card is plugged in."""

    kind: str  # bridge or network
    source: str  # its name

    def __str__(self) -> str:
        return f"{self.kind} {self.source}"


def choose(name: str, domain: Domain, mac: str) -> Nic:
    """The card with this MAC, or the only one. NotFoundError, UsageError."""
    known = ", ".join(f"{nic.mac} ({place(nic)})" for nic in domain.nics) or "none"
    if mac:
        if (nic := domain.nic(mac)) is None:
            raise NotFoundError(f"{name}: no network card {mac}, expected one of: {known}")
        return nic
    if not domain.nics:
        raise NotFoundError(f"{name}: has no network card")
    if len(domain.nics) > 1:
        raise UsageError(f"{name}: has several network cards, expected --nic with one of: {known}")
    return domain.nics[0]


def check_movable(name: str, nic: Nic) -> None:
    """NotSupportedError for a card whose kind has no tap that could change its bridge."""
    if nic.type not in (BRIDGE, NETWORK):
        found = f"{name}: network card {nic.mac} is of type {nic.type}"
        hint = f"virtkit vm set {name} nic {nic.mac} --bridge BRIDGE   (from its next start)"
        raise NotSupportedError(f"{found}, expected bridge or network", hint=hint)


def place(nic: Nic) -> Place:
    return Place(NETWORK, nic.network) if nic.network else Place(nic.type, nic.source)


def done(machine: Machine, mac: str, target: Place) -> bool:
    """Whether the card is at ``target`` already, now and after the next start."""
    shown = [machine.now(), *([machine.next_start()] if machine.persistent else [])]
    return all((nic := domain.nic(mac)) is not None and place(nic) == target for domain in shown)


def move_all(machine: Machine, mac: str, later: Place | None, live: Place | None) -> bool:
    """Plug the card in at ``later`` for the next start and at ``live`` now; whether the running machine's moved."""
    if machine.persistent and later:
        _move(machine, machine.next_start().nic(mac), later, library.CONFIG)
    return bool(machine.active and live and _move(machine, machine.now().nic(mac), live, library.LIVE))


def _move(machine: Machine, nic: Nic | None, target: Place, impact: int) -> bool:
    """Whether there was anything to do."""
    if nic is None or place(nic) == target:
        return False
    nic.connect(*target)
    machine.update_device(nic.node, impact)
    return True


def bounce(machine: Machine, mac: str) -> None:
    """Take the cable out and put it back, so that the guest asks DHCP again. A link that is down stays down."""
    nic = machine.now().nic(mac)
    if nic is None or nic.link == "down":
        return
    set_link(machine, mac, "down")
    try:
        time.sleep(LINK_DOWN_SECONDS)
    finally:
        set_link(machine, mac, "up")


def set_link(machine: Machine, mac: str, state: str) -> None:
    """``up`` (also when empty) or ``down``."""
    nic = machine.now().nic(mac)
    if nic is not None and (nic.link or "up") != (state or "up"):
        nic.link = state or "up"
        if nic.type != place(nic).kind:  # of a network that is a bridge's libvirt shows the bridge, and would keep that
            nic.connect(*place(nic))
        machine.update_device(nic.node, library.LIVE)


def verify(machine: Machine, mac: str, target: Place, system: System) -> None:
    """The XML shows ``target``, and of a running machine the kernel has the card's tap in that bridge."""
    step = f"{machine.name}: network card {mac}"
    if machine.persistent and (nic := machine.next_start().nic(mac)) is not None and place(nic) != target:
        raise VerifyError(step, f"is on {place(nic)} after the next start, expected {target}")
    if not machine.active:
        return
    nic = machine.now().nic(mac)
    if nic is None or place(nic) != target:
        raise VerifyError(step, f"is {'gone' if nic is None else f'on {place(nic)}'}, expected {target}")
    expected = target.source if target.kind == BRIDGE else nic.bridge
    if (found := master(system, nic.tap)) != expected:
        raise VerifyError(step, f"tap {nic.tap} is in {found or 'no bridge'}, expected {expected}")


def master(system: System, link: str) -> str:
    """The bridge that a link of the host is in; empty if it is in none."""
    try:
        return os.path.basename(os.readlink(system.path(f"/sys/class/net/{link}/master")))
    except OSError:
        return ""
