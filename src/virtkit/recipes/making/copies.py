"""The files that a clone has for itself: its disks, and its firmware's variables."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from virtkit import disk
from virtkit.core.errors import NotSupportedError
from virtkit.disk.actions import Convert, Create, Reflink
from virtkit.recipes.files import CopyFile
from virtkit.recipes.making import places, variables
from virtkit.recipes.making.twin import renamed
from virtkit.vm import homes

if TYPE_CHECKING:
    from virtkit.core.plan import Action
    from virtkit.core.system import System
    from virtkit.recipes.making.order import Way
    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Disk
    from virtkit.vm.domain import Domain


class Copies:
    """``made`` is given the new files; nothing is made yet."""

    def __init__(self, old: Domain, made: Domain, way: Way, libvirt: Connection, system: System) -> None:
        self._old, self._made, self._way, self._libvirt, self._system = old, made, way, libvirt, system

    def disks(self) -> list[Action]:
        """What only one machine may write becomes another file; the rest is shared as it is.

        Whether a disk is written, the new machine says: those of a template are locked.
        """
        pairs = zip(self._old.disks, self._made.disks, strict=True)
        return [
            self._copied(before, after)
            for before, after in pairs
            if before.device == "disk" and before.source and not after.read_only and not before.shareable
        ]

    def variables(self) -> list[Action]:
        """UEFI's: its boot entries and enrolled keys go along."""
        before, after = self._old.node.find("os/nvram"), self._made.node.find("os/nvram")
        if before is None or after is None or not (path := (before.text or "").strip()):
            return self._usual_variables()
        if before.get("format", "raw") != "raw":
            found = f"{self._old.name}: the format of its UEFI variables is {before.get('format')}, expected raw"
            raise NotSupportedError(found, hint=f"virsh edit {self._old.name}")
        if not self._system.exists(path):  # it was never started: libvirt makes them
            after.text = None
            return variables.fresh(self._made, self._libvirt, self._system)
        after.text = renamed(path, self._old.name, self._made.name, "VARS.fd")
        return [self._taken_along(path, after.text)]

    def _usual_variables(self) -> list[Action]:
        """Where libvirt 9 looks when it has chosen the firmware itself: its XML then has a path only while it runs."""
        uri = self._libvirt.uri
        pairs = zip(homes.variables(uri, self._old.name), homes.variables(uri, self._made.name), strict=True)
        there = [(path, target) for path, target in pairs if self._old.efi and self._system.exists(path)]
        if not there:
            return variables.fresh(self._made, self._libvirt, self._system)
        return [self._taken_along(path, target) for path, target in there]

    def _taken_along(self, path: str, target: str) -> CopyFile:
        places.require_free(self._libvirt, target, self._system)
        return CopyFile(path, target, "UEFI variables")

    def _copied(self, before: Disk, after: Disk) -> Action:
        way, form = self._way.by, before.format or "raw"
        self._refuse(before)
        kept = form if way == "reflink" or form in {"raw", "qcow2"} else "qcow2"
        chosen = "qcow2" if way == "overlay" else kept
        target = self._target(before, chosen)
        places.require_free(self._libvirt, target, self._system)
        after.put_on(target, chosen)
        if way == "copy":
            return Convert(before.source, target, form, chosen, allow_backing=True)
        if way == "overlay":
            return Create(target, None, "qcow2", before.source, form)
        return _shared(before.source, form, target)

    def _refuse(self, disk: Disk) -> None:
        what = f"{self._old.name}: disk {disk.target}"
        if disk.type not in {"file", "block"} or disk.encrypted:
            kind = "encrypted" if disk.encrypted else f"of type {disk.type}"
            hint = f"virsh edit {self._old.name}"
            raise NotSupportedError(f"{what} is {kind}, expected a plain file or a block device", hint=hint)
        if disk.type == "block" and self._way.by == "reflink":
            raise NotSupportedError(f"{what} is a block device, which shares no blocks", hint="--by copy")

    def _target(self, before: Disk, form: str) -> str:
        new, directory = self._made.name, self._way.directory
        if before.type == "block":
            return str(Path(directory or places.directory(self._libvirt)) / f"{new}-{before.target}.{form}")
        path = renamed(before.source, self._old.name, new, f"{before.target}.{form}")
        if form != before.format:
            path = f"{os.path.splitext(path)[0]}.{form}"
        return os.path.join(directory, os.path.basename(path)) if directory else path


def _shared(source: str, form: str, target: str) -> Reflink:
    from virtkit.disk.reflink import check

    backing = disk.info(source, form).backing
    moved = os.path.dirname(source) != os.path.dirname(target)
    if backing and moved and not backing.name.startswith("/"):
        found = f"{source}: stands on {backing.name}, which is not found from {os.path.dirname(target)}"
        raise NotSupportedError(found, hint="--by copy, or without --directory")
    check(source, os.path.dirname(target))
    return Reflink(source, target)
