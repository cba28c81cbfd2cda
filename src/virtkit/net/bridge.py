"""Plans for a bridge: over a port or on its own, there and back."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.net import (
    adoption,
    notes,
    ownership,
    persistence,
    ports,
    provenance,
    refusals,
    settings,
    standing,
    watching,
)
from virtkit.net.actions import CarrySettings, CreateBridge, DeleteBridge, JoinBridge, LeaveBridge, SetLink
from virtkit.net.actions.zone import plan_zone
from virtkit.net.backend import Wish
from virtkit.net.kernel import Kernel
from virtkit.net.machines import machines_of
from virtkit.net.model import CENTISECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.deadman import Confirm
    from virtkit.core.plan import Action
    from virtkit.net.model import Bridge, Link, Network
    from virtkit.net.standing import Side

LOCAL_UNICAST = 0x02  # in the first byte of a MAC address: given by software, to one station
DEFAULT_MTU = 1500
LEAST_DELAY = 2  # seconds: BR_MIN_FORWARD_DELAY in net/bridge/br_private.h


def plan_bridge(
    name: str,
    port: str | None = None,
    *,
    stp: bool = False,
    checks: Sequence[str] = (),
    confirm: Confirm | None = None,
    system: System | None = None,
) -> Plan:
    """A bridge ``name``, over ``port`` if one is given: it then holds the port's addresses and routes.

    A bridge of that name that somebody else made is taken as it is, if it holds nothing of its own. ``stp``: the
    spanning tree protocol is switched on when the port forwards already, so nothing waits for it.
    ``checks`` are ``HOST:PORT`` that must accept connections after it as they do now. ``confirm`` stands between the
    kernel's move and the files that make it last; None: nobody is asked.

    An empty plan: it is so already. UsageError, NotFoundError, BusyError, NotSupportedError with the reason.
    """
    system = system or System()
    refusals.check_name(name)
    with Kernel() as kernel:
        network = kernel.network()
    title = f"bridge {name} over {port}" if port else f"bridge {name}"
    link = refusals.port_link(network, port) if port else None
    bridge = network.by_name.get(name)
    if bridge and _as_asked(network, bridge, link):
        lacking = stp and not (bridge.bridge and bridge.bridge.stp)
        return Plan(title, tuple(_spanning(name, stp=lacking)), (notes.UNTIL_REBOOT,) if lacking else ())
    if link is None:
        if checks:
            raise UsageError(f"--check {checks[0]}: nothing moves to a bridge of its own, expected --port too")
        mac = stable_mac(system.read_or("/etc/machine-id", ""), name)
        return Plan(title, (CreateBridge(name, mac, DEFAULT_MTU), *_spanning(name, stp=stp)), (notes.UNTIL_REBOOT,))
    refusals.check_port(system, network, link, name)
    side = standing.side_of(network, link.name)
    carried = settings.to_carry(system, side)
    carry = [CarrySettings(name, link.name, carried)] if carried else []
    if bridge:
        adoption.check(system, network, bridge, link)
        made: Sequence[Action] = (*adoption.fitting(bridge, link), *carry)
    else:
        made = (CreateBridge(name, link.mac, link.mtu), *carry)
    join = JoinBridge(link.name, name, side.address_lines(), side.route_lines(), side.policy_lines())
    silence = adoption.silence(bridge) if bridge else 0.0
    asked = _asked(confirm, side, standing.side_of(network, name), silence=silence)
    zone = plan_zone(system, link.name, name)
    actions: tuple[Action, ...] = (*made, *zone, join, *_spanning(name, stp=stp), *asked)
    owner = ownership.find(system, link.name)
    if owner:
        delay = _forward_delay(bridge.bridge if bridge else None, stp=stp)
        wish = Wish(name, link.name, link.mac, link.mtu, side, delay)
        actions = persistence.bridged(system, owner, wish, actions)
    watched = watching.plan(system, network, side, name, checks, joins=True, silence=silence)
    told = (
        *(ports.spanning(bridge, link.name) if bridge else ()),
        *notes.about_move(system, network, side, name),
        *watched.notes,
        *persistence.about(system, owner, link.name),
    )
    return Plan(title, (watched.action, *actions), told)


def plan_move_to_bridge(
    bridge: str,
    port: str,
    *,
    checks: Sequence[str] = (),
    confirm: Confirm | None = None,
    system: System | None = None,
) -> Plan:
    """As :func:`plan_bridge`, for a bridge that is there; NotFoundError."""
    ports.look(bridge)
    return plan_bridge(bridge, port, checks=checks, confirm=confirm, system=system)


def plan_delete_bridge(
    name: str,
    *,
    force: bool = False,
    checks: Sequence[str] = (),
    confirm: Confirm | None = None,
    system: System | None = None,
) -> Plan:
    """Give addresses and routes back to the bridge's port, then delete the bridge.

    A bridge that machines are attached to is never deleted; one that virtkit did not make only with ``force``:
    somebody (libvirt, Docker, the host's configuration) relies on it, and would not be asked.
    """
    system = system or System()
    with Kernel() as kernel:
        network = kernel.network()
    bridge = network.by_name.get(name)
    if bridge is None:
        raise NotFoundError(f"{name}: no such bridge", hint="virtkit net bridge show")
    if bridge.kind != "bridge":
        raise NotSupportedError(f"{name}: is {bridge.kind or 'a device'}, expected a bridge")
    if not force and not provenance.made_here(system, bridge):
        again = f"virtkit net bridge delete {name} --force"
        raise BusyError(f"{name}: was not made by virtkit, somebody else relies on it", hint=again)
    port = _own_port(system, network, bridge)
    title = f"delete bridge {name}"
    if port is None:
        return Plan(title, (DeleteBridge(name),))
    side = standing.side_of(network, name)
    leave = LeaveBridge(port.name, name, side.address_lines(), side.route_lines(), side.policy_lines())
    actions: tuple[Action, ...] = (leave, *_asked(confirm, side), DeleteBridge(name))
    owner = ownership.find(system, name)
    if owner:
        actions = persistence.released(system, owner, name, port.name, actions)
    watched = watching.plan(system, network, side, port.name, checks, joins=False)
    told = (
        *notes.about_move(system, network, side, port.name),
        *watched.notes,
        *persistence.about(system, owner, name),
    )
    return Plan(title, (watched.action, *actions), told)


def _asked(confirm: Confirm | None, *sides: Side, silence: float = 0.0) -> tuple[Action, ...]:
    """Where neither port nor bridge holds anything, nobody is cut off.

    ``silence`` is known to come, in seconds: it is not counted among those to confirm in.
    """
    if confirm is None or all(side.empty for side in sides):
        return ()
    return (replace(confirm, seconds=confirm.seconds + ceil(silence)),)


def stable_mac(machine: str, name: str) -> str:
    """The same on every day for one host's bridge of this name, and another one on every other host."""
    digest = hashlib.sha256(f"virtkit bridge {machine} {name}".encode()).digest()
    return bytes([LOCAL_UNICAST, *digest[:5]]).hex(":")


def _forward_delay(found: Bridge | None, *, stp: bool) -> int:
    """Seconds, as the kernel will have it: it takes the least that there is where a bridge without STP had less."""
    if not stp and not (found and found.stp):
        return 0
    return max(LEAST_DELAY, found.forward_delay // CENTISECONDS if found else 0)


def _spanning(name: str, *, stp: bool) -> list[Action]:
    return [SetLink(name, "stp", "on")] if stp else []


def _as_asked(network: Network, bridge: Link, port: Link | None) -> bool:
    """Whether nothing is to be done. BusyError where the name stands for something else."""
    if bridge.kind != "bridge":
        raise BusyError(f"{bridge.name}: is {bridge.kind or 'a device'} already, expected a free name or a bridge")
    if port is None:
        return True
    if port.master != bridge.index:
        return False
    side = standing.side_of(network, port.name)
    if not side.empty:
        held = ", ".join(side.lines())
        raise BusyError(f"{port.name}: is a port of {bridge.name}, but still holds {held}")
    return True


def _own_port(system: System, network: Network, bridge: Link) -> Link | None:
    """The port that the bridge was made over has the bridge's MAC; all others are somebody else's."""
    found = network.ports(bridge)
    own = [port for port in found if port.mac == bridge.mac]
    if others := [port for port in found if port not in own[:1]]:
        known = machines_of(system, others)
        unknown = [port.name for port in others if not any(text.startswith(f"{port.name} ") for text in known)]
        named = ", ".join([*known, *unknown])
        away = "virtkit vm attach MACHINE --network default" if known else ""
        hint = away or f"virtkit net bridge port remove {bridge.name} {others[0].name}"
        raise BusyError(f"{bridge.name}: has other ports: {named} would lose the network", hint=hint)
    return own[0] if own else None
