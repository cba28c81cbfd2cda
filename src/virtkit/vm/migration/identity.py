"""Whether the machine may leave as it is, and whether its name is free there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, VirtkitError
from virtkit.vm.migration.way import Obstacle
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine
    from virtkit.vm.migration.way import Way

_RUNS = frozenset({"running", "idle", "paused"})


def state(machine: Machine, way: Way) -> Iterator[Obstacle]:
    found, name = machine.state, machine.name
    if way.offline and machine.active:
        yield Obstacle(f"state: is {found}, expected shut off for --offline", f"virtkit vm stop {name}")
    if not way.offline and found not in _RUNS:
        yield Obstacle(f"state: is {found}, expected running", f"virtkit vm migrate {name} ... --offline")
    if machine.saved:
        yield Obstacle("memory: is saved on this host, expected none saved", f"virtkit vm start {name}")


def keepsakes(machine: Machine) -> Iterator[Obstacle]:
    """A host keeps the lists of its machines' snapshots and checkpoints; libvirt lets no machine go that has some."""
    for method, word in (("listAllSnapshots", "snapshot"), ("listAllCheckpoints", "checkpoint")):
        if found := machine.ask(list, method, 0):
            mend = f"virsh {word}-delete {machine.name} {word.upper()} --metadata forgets one, its data stays"
            yield Obstacle(f"{word}s: there are {len(found)}, expected none", mend)


def blocks(machine: Machine, targets: tuple[str, ...]) -> Iterator[Obstacle]:
    for target in targets:
        try:
            job = machine.ask(dict, "blockJobInfo", target, 0)
        except VirtkitError:
            continue
        if job:
            mend = f"virsh blockjob {machine.name} {target} --abort"
            yield Obstacle(f"disk {target}: a block job runs, expected none", mend)


def taken(machine: Machine, there: Connection) -> Iterator[Obstacle]:
    """One who bears its name, or its UUID, over there: running twice it would destroy its disks."""
    twin = there.find(machine.name) or _by_uuid(there, machine.uuid)
    if twin is None:
        return
    where = there.hostname
    if twin.active:
        found = f"{where} has a machine {twin.name} with UUID {twin.uuid} that is {twin.state}, expected the name free"
        yield Obstacle(f"name: {found}", f"virsh --connect {there.uri} domrename {twin.name} {twin.name}-old, once off")
    else:
        found = f"{where} has a definition of {twin.name} (UUID {twin.uuid}, off), expected the name free"
        yield Obstacle(f"name: {found}", f"virsh --connect {there.uri} undefine {twin.name}")


def check_other_host(here: Connection, there: Connection) -> None:
    """BusyError if both are one."""
    if _host_uuid(here) == _host_uuid(there):
        raise BusyError(f"{there.uri}: is this very host ({here.hostname}), expected another one")


def _host_uuid(libvirt: Connection) -> str:
    return parse(libvirt.host.ask(str, "getCapabilities")).findtext("host/uuid") or libvirt.hostname


def _by_uuid(there: Connection, uuid: str) -> Machine | None:
    return next((machine for machine in there.machines() if machine.uuid == uuid), None)
