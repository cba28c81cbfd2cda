"""A backup becomes a machine of its own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import ConflictError
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.disk.actions import Convert
from virtkit.recipes.backups import store
from virtkit.recipes.backups.verify import verify
from virtkit.recipes.making import variables
from virtkit.recipes.snapshots.chains import check_local
from virtkit.vm import actions, connection
from virtkit.vm.blueprint import derived_mac
from virtkit.vm.domain import Domain
from virtkit.vm.snapshots.memory import moved

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.recipes.backups.store import Point


def restore(target: str, name: str, number: int | None = None, directory: str = "") -> Plan:
    """The newest point unless told, as the new machine ``name``, its disks in ``directory``, else beside the old ones.

    ConflictError where the name or a file is taken, or the backup does not read as on the day that it was made.
    """
    target = os.path.abspath(target)
    point = store.chosen(target, number)
    domain = Domain.parse(point.xml)
    with connection.open() as libvirt:
        check_local(libvirt, name)
        if libvirt.find(name) is not None:
            raise ConflictError(f"{name}: exists already, expected a new name", hint="virtkit vm list")
        files = _files(domain, point, name, directory)
        made = _new(domain, name, files)
        left = variables.fresh(made, libvirt, System())
    for verdict in verify(target, point.number):
        if verdict.fault:
            raise ConflictError(verdict.fault, hint=f"virtkit vm backup verify {target}   (for one that is whole)")
    steps: list[Action] = [
        Convert(store.image(target, point.number, disk), file, "qcow2", "qcow2", allow_backing=True)
        for disk, file in files.items()
    ]
    steps += [*left, actions.Define(name, made.text())]
    notes = ("it has a UUID and MACs of its own; the host name and the keys in its disks are those of then",)
    return Plan(f"restore backup {point.number} of {point.machine} as machine {name}", tuple(steps), notes)


def _files(domain: Domain, point: Point, name: str, directory: str) -> dict[str, str]:
    old = {disk.target: disk.source for disk in domain.disks}
    files = {}
    for volume in point.volumes:
        home = os.path.abspath(directory or os.path.dirname(old[volume.target]))
        files[volume.target] = file = os.path.join(home, f"{name}-{volume.target}.qcow2")
        if os.path.lexists(file):
            raise ConflictError(f"{name}: {file} exists already, expected none", hint="--directory")
    return files


def _new(domain: Domain, name: str, files: dict[str, str]) -> Domain:
    domain.name, domain.uuid = name, ""
    for index, nic in enumerate(domain.nics):
        nic.mac = derived_mac(name, index)
    system = domain.node.find("os")
    for nvram in system.findall("nvram") if system is not None else []:
        nvram.text = None  # libvirt makes one of its own
    moved(domain, dict(files))
    return domain
