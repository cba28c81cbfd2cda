"""Machines go to other hosts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import UsageError
from virtkit.core.plan import Plan
from virtkit.core.system import System

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.plan import Action
    from virtkit.vm.migration.job import Arrived
    from virtkit.vm.migration.preflight import Preflight


def migrate(
    name: str,
    target: str,
    *,
    offline: bool = False,
    copy: Sequence[str] = (),
    copy_all: bool = False,
    overwrite: bool = False,
    unsafe: bool = False,
    bandwidth: int = 0,
    downtime: int = 0,
    auto_converge: bool = False,
    postcopy: bool = False,
    address: str = "",
    system: System | None = None,
) -> Plan:
    """Move a machine to ``target``, a libvirt URI, or a host's name (root's libvirt there, by SSH).

    ``offline``: the definition of a machine that is off. ``copy_all``: the content of its disks goes along, or
    that of those in ``copy`` (vda);
    ``overwrite``: onto disks that are there already. ``unsafe``: the storage is shared although libvirt does not know;
    that is proven first. ``bandwidth`` in bytes per second, ``downtime`` in milliseconds at the switch; ``address``:
    where the other host's QEMU is reached, if not by that host's own name.

    NotSupportedError lists all that is in the way, each with its mend; both hosts are asked, and nothing is touched.
    """
    from virtkit.vm import connection
    from virtkit.vm.migration import identity, storage
    from virtkit.vm.migration.preflight import Preflight
    from virtkit.vm.migration.way import Way, full_uri, refuse

    if bandwidth < 0 or downtime < 0:
        raise UsageError(f"{name}: bandwidth is {bandwidth} and downtime {downtime}, expected 0 or more")
    if offline and (copy or copy_all or postcopy or auto_converge):
        raise UsageError(f"{name}: offline is set, expected no copy of disks or memory with it")
    with connection.open() as here, connection.open(full_uri(target)) as there:
        machine = here.machine(name)
        identity.check_other_host(here, there)
        copied = storage.chosen(machine, copy, every=copy_all)
        way = Way(offline, copied, overwrite, unsafe, bandwidth, downtime, auto_converge, postcopy, address)
        look = Preflight(machine, here, there, way, system or System())
        refuse(machine.name, there.uri, look.obstacles())
        return Plan(f"migrate machine {machine.name} to {there.hostname}", _steps(look), tuple(look.notes()))


def journey(name: str, target: str) -> Arrived:
    """How a machine came to ``target``, as libvirt there remembers it: how long it took, how long it stood still."""
    from virtkit.vm import connection
    from virtkit.vm.migration.job import arrived
    from virtkit.vm.migration.way import full_uri

    with connection.open(full_uri(target)) as there:
        return arrived(there.machine(name))


def _steps(look: Preflight) -> tuple[Action, ...]:
    from virtkit.vm import actions

    way, there = look.way, look.there.uri
    name, uri = look.machine.name, look.here.uri
    steps: list[Action] = [
        *(actions.ProveStorage(name, there, path, shared=True, uri=uri) for path in look.trusted),
        *(actions.ProveStorage(name, there, path, shared=False, uri=uri) for path in look.overwritten),
    ]
    steps += [
        actions.PlaceDisk(name, copy.path, copy.format, copy.size, uri=there) for copy in look.copies if not copy.exists
    ]
    travel = actions.Migrate(
        name,
        there,
        way.offline,
        list(way.copied),
        way.unsafe,
        way.bandwidth,
        way.downtime,
        way.auto_converge,
        way.postcopy,
        way.address,
        uri=uri,
    )
    return (*steps, travel)
