"""A machine's network cards."""

from __future__ import annotations

from virtkit.core.errors import NotFoundError
from virtkit.core.plan import Plan
from virtkit.core.system import System


def attach(
    name: str,
    bridge: str = "",
    *,
    network: str = "",
    mac: str = "",
    verify: bool = False,
    restart: bool = False,
    seconds: float = 60,
    system: System | None = None,
) -> Plan:
    """Move a network card to a bridge of the host's, or to one of libvirt's networks; ``mac`` says which card.

    ``verify``: the guest's new address within ``seconds``, pinged from and to the LAN, or all is put back.
    ``restart``: off, moved, on again, for guests that do not notice a cable that is plugged in elsewhere.
    NotFoundError if there is no such bridge, network or card; NotSupportedError for a card without a tap, and where
    nothing could prove what ``verify`` asks for; UsageError for that of a machine that is off.
    """
    from virtkit.vm import actions, connection, nics, reach
    from virtkit.vm.devices import BRIDGE, NETWORK

    system = system or System()
    with connection.open() as libvirt:
        machine = libvirt.machine(name)
        nic = nics.choose(machine.name, machine.now(), mac)
        nics.check_movable(machine.name, nic)
        target = nics.Place(NETWORK, network) if network else nics.Place(BRIDGE, bridge)
        bridge = libvirt.bridge_of(network) if network else bridge
        if libvirt.local and not system.exists(f"/sys/class/net/{bridge}/bridge"):
            hint = f"virtkit net bridge create {bridge} --port INTERFACE"
            raise NotFoundError(f"{bridge}: no such bridge on this host", hint=hint)
        title = f"attach machine {machine.name} to {network or bridge}"
        if verify:
            reach.check_provable(machine, bridge, system)
        reached = [actions.Reach(machine.name, nic.mac, bridge, seconds)] if verify else []
        if nics.done(machine, nic.mac, target):
            return Plan(title, tuple(reached))
        moved = actions.Attach(machine.name, nic.mac, target.source, target.kind)
        if restart and machine.active:
            return Plan(title, (actions.Stop(machine.name), moved, actions.Start(machine.name), *reached))
        notes = ("the guest's link goes down for a second; connections through another network break",)
        return Plan(title, (moved, *reached), notes if machine.active else ())
