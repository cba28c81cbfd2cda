"""Plans for a bridge: over a port or on its own, there and back."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.net import notes, ownership, persistence, refusals, settings, standing, watching
from virtkit.net.actions import CarrySettings, CreateBridge, DeleteBridge, JoinBridge, LeaveBridge
from virtkit.net.backend import Wish
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.deadman import Confirm
    from virtkit.core.plan import Action
    from virtkit.net.model import Link, Network

LOCAL_UNICAST = 0x02  # in the first byte of a MAC address: given by software, to one station
DEFAULT_MTU = 1500


def plan_bridge(
    name: str,
    port: str | None = None,
    *,
    checks: Sequence[str] = (),
    confirm: Confirm | None = None,
    system: System | None = None,
) -> Plan:
    """A bridge ``name``, over ``port`` if one is given: it then holds the port's addresses and routes.

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
    if name in network.by_name:
        _check_as_asked(network, network.by_name[name], link)
        return Plan(title)
    if link is None:
        mac = stable_mac(system.read_or("/etc/machine-id", ""), name)
        return Plan(title, (CreateBridge(name, mac, DEFAULT_MTU),), (notes.UNTIL_REBOOT,))
    refusals.check_port(system, network, link, name)
    side = standing.side_of(network, link.name)
    create = CreateBridge(name, link.mac, link.mtu)
    carried = settings.to_carry(system, side)
    carry = (CarrySettings(name, link.name, carried),) if carried else ()
    join = JoinBridge(link.name, name, side.address_lines(), side.route_lines(), side.policy_lines())
    actions: tuple[Action, ...] = (create, *carry, join, *_asked(confirm))
    owner = ownership.find(system, link.name)
    if owner:
        wish = Wish(name, link.name, link.mac, link.mtu, side)
        actions = persistence.bridged(system, owner, wish, actions)
    watched = watching.plan(system, network, side, name, checks, joins=True)
    told = (*notes.about_move(system, network, side, name), *watched.notes, *persistence.about(owner, link.name))
    return Plan(title, (watched.action, *actions), told)


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
    if not bridge.ours and not force:
        again = f"virtkit net bridge delete {name} --force"
        raise BusyError(f"{name}: was not made by virtkit, somebody else relies on it", hint=again)
    port = _own_port(network, bridge)
    title = f"delete bridge {name}"
    if port is None:
        return Plan(title, (DeleteBridge(name),))
    side = standing.side_of(network, name)
    leave = LeaveBridge(port.name, name, side.address_lines(), side.route_lines(), side.policy_lines())
    actions: tuple[Action, ...] = (leave, *_asked(confirm), DeleteBridge(name))
    owner = ownership.find(system, name)
    if owner:
        actions = persistence.released(system, owner, name, port.name, actions)
    watched = watching.plan(system, network, side, port.name, checks, joins=False)
    told = (*notes.about_move(system, network, side, port.name), *watched.notes, *persistence.about(owner, name))
    return Plan(title, (watched.action, *actions), told)


def _asked(confirm: Confirm | None) -> tuple[Action, ...]:
    return (confirm,) if confirm else ()


def stable_mac(machine: str, name: str) -> str:
    """The same on every day for one host's bridge of this name, and another one on every other host."""
    digest = hashlib.sha256(f"virtkit bridge {machine} {name}".encode()).digest()
    return bytes([LOCAL_UNICAST, *digest[:5]]).hex(":")


def _check_as_asked(network: Network, bridge: Link, port: Link | None) -> None:
    """BusyError where the name stands for something else."""
    if bridge.kind != "bridge":
        raise BusyError(f"{bridge.name}: is {bridge.kind or 'a device'} already, expected a free name or a bridge")
    if port is None:
        return
    if port.master != bridge.index:
        ports = ", ".join(found.name for found in network.ports(bridge)) or "none"
        hint = f"virtkit net bridge delete {bridge.name}"
        raise BusyError(f"{bridge.name}: exists, its ports are {ports}, expected {port.name}", hint=hint)
    side = standing.side_of(network, port.name)
    if not side.empty:
        held = ", ".join(side.lines())
        raise BusyError(f"{port.name}: is a port of {bridge.name}, but still holds {held}")


def _own_port(network: Network, bridge: Link) -> Link | None:
    """The port that the bridge was made over has the bridge's MAC; all others are somebody else's."""
    ports = network.ports(bridge)
    own = [port for port in ports if port.mac == bridge.mac]
    if others := [port.name for port in ports if port not in own[:1]]:
        reason = f"{', '.join(others)} would lose the network"
        raise BusyError(f"{bridge.name}: has other ports: {reason}", hint="virtkit vm list")
    return own[0] if own else None
