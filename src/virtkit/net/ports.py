"""Plans for a bridge's further ports: a link joins, a link leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.net import adoption, persistence, refusals, standing, watching
from virtkit.net.actions import AddPort, RemovePort
from virtkit.net.kernel import Kernel
from virtkit.net.machines import machines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.deadman import Confirm
    from virtkit.core.plan import Action
    from virtkit.net.model import Link, Network


def plan_add_port(
    bridge: str,
    port: str,
    *,
    checks: Sequence[str] = (),
    confirm: Confirm | None = None,
    system: System | None = None,
) -> Plan:
    """``port`` becomes one more port of ``bridge``. It must hold nothing: a port's own addresses are mute.

    UsageError says how its addresses could move to the bridge; BusyError and NotSupportedError why it cannot be.
    """
    system = system or System()
    network, found = look(bridge)
    link = refusals.port_link(network, port)
    title = f"port {port} of bridge {bridge}"
    if link.master == found.index:
        return Plan(title)
    refusals.check_port(system, network, link, bridge)
    side = standing.side_of(network, port)
    if not side.empty:
        held = ", ".join(address.text for address in side.addresses) or f"{len(side.routes)} routes"
        hint = f"virtkit net bridge port add {bridge} {port} --move (moves them to {bridge})"
        raise UsageError(f"{port}: holds {held}, expected nothing: a port's own addresses are mute", hint=hint)
    watched = watching.plan(system, network, standing.side_of(network, bridge), bridge, checks, joins=True)
    files, lasts = persistence.joined(system, bridge, port)
    told = (*spanning(found, port), *_loop(network, found, port), *lasts, *watched.notes)
    actions: tuple[Action, ...] = (watched.action, AddPort(port, bridge), *((confirm,) if confirm else ()), *files)
    return Plan(title, actions, told)


def plan_remove_port(
    bridge: str,
    port: str,
    *,
    checks: Sequence[str] = (),
    confirm: Confirm | None = None,
    system: System | None = None,
) -> Plan:
    """``port`` stands alone again. BusyError: the bridge's addresses, or a machine, would lose the network with it."""
    system = system or System()
    network, found = look(bridge)
    link = refusals.port_link(network, port)
    ports = [each.name for each in network.ports(found)]
    if port not in ports:
        raise NotFoundError(f"{port}: is no port of {bridge}, its ports are {', '.join(ports) or 'none'}")
    side = standing.side_of(network, bridge)
    if not side.empty and [each.name for each in adoption.uplinks_of(network, found)] == [port]:
        held = ", ".join(address.text for address in side.addresses) or "routes"
        hint = f"virtkit net bridge delete {bridge} (moves them back to {port})"
        raise BusyError(f"{port}: is the only way out of {bridge}, which holds {held}", hint=hint)
    if machines := machines_of(system, [link]):
        raise BusyError(f"{port}: {machines[0]} would lose the network", hint="virtkit vm list")
    watched = watching.plan(system, network, side, bridge, checks, joins=True)
    files, lasts = persistence.parted(system, bridge, port)
    actions: tuple[Action, ...] = (watched.action, RemovePort(port, bridge), *((confirm,) if confirm else ()), *files)
    return Plan(f"remove port {port} of bridge {bridge}", actions, (*lasts, *watched.notes))


def spanning(bridge: Link, port: str) -> Iterator[str]:
    if seconds := adoption.silence(bridge):
        delay = seconds / 2
        yield (
            f"STP is on at {bridge.name}: {port} passes nothing for {seconds:g} s "
            f"({delay:g} s listening, {delay:g} s learning), and connections stand still"
        )


def look(bridge: str) -> tuple[Network, Link]:
    """The network now, and the bridge in it; NotFoundError, NotSupportedError."""
    with Kernel() as kernel:
        network = kernel.network()
    found = network.by_name.get(bridge)
    if found is None:
        raise NotFoundError(f"{bridge}: no such bridge", hint=f"virtkit net bridge create {bridge}")
    if found.kind != "bridge":
        raise NotSupportedError(f"{bridge}: is {found.kind or 'a device'}, expected a bridge")
    return network, found


def _loop(network: Network, bridge: Link, port: str) -> Iterator[str]:
    others = [found.name for found in adoption.uplinks_of(network, bridge)]
    if others and not (bridge.bridge and bridge.bridge.stp):
        yield f"{', '.join(others)} and {port} must not lead into the same network: without STP that is a loop"
