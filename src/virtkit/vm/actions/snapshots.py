"""Snapshots are taken, gone back to, and deleted."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotSupportedError, VerifyError
from virtkit.core.progress import Note
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.agent import Agent
from virtkit.vm.backups.job import checkpoints
from virtkit.vm.backups.paused import awake
from virtkit.vm.lifecycle import destroy
from virtkit.vm.migration import place
from virtkit.vm.snapshots import snapshot as kept
from virtkit.vm.snapshots.memory import placed
from virtkit.vm.watched import watched

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine

FORCE = 4  # VIR_DOMAIN_SNAPSHOT_REVERT_FORCE: QEMU may have to be started anew for it
METADATA_ONLY = 2  # virDomainSnapshotDeleteFlags
XML_SECURE = 1  # virDomainSnapshotXMLFlags and virDomainSaveImageXMLFlags
RESTORE_RUNNING = 2  # VIR_DOMAIN_SAVE_RUNNING


@dataclass(frozen=True)
class TakeSnapshot(MachineAction):
    """libvirt makes all of it or nothing. Undo deletes it; what was written since stays, merged into the image."""

    kind: ClassVar[str] = "vm.take_snapshot"
    sign: ClassVar[str] = "+"

    snapshot: str
    request: str  # what libvirt is asked for, in its XML
    overlays: dict[str, Json]  # by target; empty for an internal one
    memory: str = "no"  # no, internal, or a file
    freeze: bool = False  # the guest's file systems, by its agent, for that moment

    def describe(self) -> str:
        how = "external" if self.overlays else "internal"
        what = "disks and memory" if self.memory != "no" else "disks"
        calm = ", the guest's file systems frozen for that moment" if self.freeze else ""
        files = [*self.overlays.values(), *([self.memory] if self.memory not in ("no", "internal") else [])]
        return f"machine {self.name}: {how} snapshot {self.snapshot} of its {what}{calm}" + _list(files)

    def capture(self, system: System) -> Json:
        """When it was taken."""
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            found = None if machine is None else kept.find(machine, self.snapshot)
            return None if found is None else found.created

    def apply(self, system: System, report: Sink) -> None:
        flags = kept.ATOMIC if self.overlays else 0
        if self.overlays:
            flags |= kept.DISK_ONLY if self.memory == "no" else kept.LIVE
        if self.freeze:
            flags |= kept.QUIESCE
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            step = f"snapshot {self.snapshot} of {self.name}"
            with _fit(machine) if self.overlays else nullcontext():
                watched(machine, step, report, lambda: machine.tell("snapshotCreateXML", self.request, flags))

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if kept.find(machine, self.snapshot) is None:
                raise VerifyError(self.describe(), "libvirt does not have it")
            now = {disk.target: disk.source for disk in machine.now().disks}
        for target, overlay in self.overlays.items():
            if now.get(target) != overlay:
                raise VerifyError(self.describe(), f"disk {target} is {now.get(target)}, expected {overlay}")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None:
                return
            if self.freeze and machine.active:
                Agent(machine).thaw()  # libvirt does it; not if it was killed in that moment
            if before is None and kept.find(machine, self.snapshot) is not None:
                _delete(libvirt, machine, self.snapshot)


@dataclass(frozen=True)
class RevertInternal(MachineAction):
    """libvirt goes back itself; undo goes to ``present``, the snapshot of the state that is left."""

    kind: ClassVar[str] = "vm.revert_internal"

    snapshot: str
    present: str

    def describe(self) -> str:
        return f"machine {self.name}: back to snapshot {self.snapshot}"

    def capture(self, system: System) -> Json:
        """The snapshot that it is on."""
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            return None if machine is None else _current(machine)

    def apply(self, system: System, report: Sink) -> None:
        self._revert(self.snapshot)

    def verify(self, system: System) -> None:
        if (found := self.capture(system)) != self.snapshot:
            raise VerifyError(self.describe(), f"is at {found}, expected {self.snapshot}")

    def undo(self, system: System, before: Json) -> None:
        self._revert(self.present)

    def _revert(self, name: str) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            machine.tell("revertToSnapshot", kept.handle(machine, name).raw, FORCE)


@dataclass(frozen=True)
class MoveSnapshot(MachineAction):
    """libvirt is told that the machine goes on from ``snapshot``, in these overlays: the next one hangs below it."""

    kind: ClassVar[str] = "vm.move_snapshot"

    snapshot: str
    overlays: dict[str, Json]

    def describe(self) -> str:
        return f"machine {self.name}: goes on from snapshot {self.snapshot}, as libvirt counts them"

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            found = None if machine is None else kept.find(machine, self.snapshot)
            if machine is None or found is None:
                return None
            return {"current": _current(machine), "overlays": {each.target: each.overlay for each in found.places}}

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            with _fit(machine):
                _redefine(machine, self.snapshot, self.overlays, kept.CURRENT)

    def verify(self, system: System) -> None:
        wanted = {"current": self.snapshot, "overlays": dict(self.overlays)}
        if (found := self.capture(system)) != wanted:
            raise VerifyError(self.describe(), f"is {found}, expected {wanted}")

    def undo(self, system: System, before: Json) -> None:
        if not isinstance(before, dict):
            return
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            overlays = before["overlays"]
            with _fit(machine):
                _redefine(machine, self.snapshot, overlays if isinstance(overlays, dict) else {})
                if before["current"]:
                    _redefine(machine, str(before["current"]), {}, kept.CURRENT)


@dataclass(frozen=True)
class ResumeMemory(MachineAction):
    """Go on from the memory of an external snapshot, with these disks."""

    kind: ClassVar[str] = "vm.resume_memory"

    file: str
    disks: dict[str, Json]  # target -> image

    def describe(self) -> str:
        return f"machine {self.name}: go on from its memory in {self.file}"

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            return machine is not None and machine.active

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            xml = libvirt.host.ask(str, "saveImageGetXMLDesc", self.file, XML_SECURE)
            libvirt.host.tell("restoreFlags", self.file, placed(xml, self.disks), RESTORE_RUNNING)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if (state := machine.state) != "running":
                raise VerifyError(self.describe(), f"is {state}, expected running")
            now = {disk.target: disk.source for disk in machine.now().disks}
        for target, image in self.disks.items():
            if now.get(target) != image:
                raise VerifyError(self.describe(), f"disk {target} is {now.get(target)}, expected {image}")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            if not before and (machine := libvirt.find(self.name)) is not None and machine.active:
                destroy(machine)


@dataclass(frozen=True)
class DeleteSnapshot(MachineAction):
    """Its state goes; what the machine wrote since stays. ``forget``: libvirt's note of it alone, the files stay."""

    kind: ClassVar[str] = "vm.delete_snapshot"
    sign: ClassVar[str] = "-"
    final: ClassVar[bool] = True

    snapshot: str
    merged: list[str]  # ``top into base``, for each disk
    forget: bool = False

    def describe(self) -> str:
        if self.forget:
            return f"machine {self.name}: forget snapshot {self.snapshot}; its files stay"
        return f"machine {self.name}: delete snapshot {self.snapshot}" + _list(self.merged, "merge ")

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            found = None if machine is None else kept.find(machine, self.snapshot)
            return None if found is None else found.text()

    def fingerprint(self, state: Json) -> Json:
        return None if state is None else kept.Snapshot.parse(str(state)).created

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            for each in self.merged:
                report(Note(f"snapshot {self.snapshot}", f"merge {each}"))
            _delete(libvirt, machine, self.snapshot, METADATA_ONLY if self.forget else 0)

    def verify(self, system: System) -> None:
        if self.capture(system) is not None:
            raise VerifyError(self.describe(), "is still there")

    def undo(self, system: System, before: Json) -> None:
        if before is not None and self.capture(system) is None:
            raise NotSupportedError(f"{self.name}: the state of snapshot {self.snapshot} is deleted for good")


def _fit(machine: Machine) -> AbstractContextManager[None]:
    """Where backups left checkpoints, libvirt touches snapshots only while QEMU runs, which takes the bitmaps along."""
    return awake(machine) if any(True for _ in checkpoints(machine)) else nullcontext()


def _delete(libvirt: Connection, machine: Machine, name: str, flags: int = 0) -> None:
    """Of a machine that is off, libvirt 9.0 merges the newest alone; the file with the memory it leaves in any case."""
    found = kept.named(machine, name)
    memory = found.memory_file
    with awake(machine) if found.kind == kept.EXTERNAL and not flags else nullcontext():
        kept.handle(machine, name).tell("delete", flags)
    if memory and not flags:
        place.delete(libvirt, memory)


def _redefine(machine: Machine, name: str, overlays: dict[str, Json], flags: int = 0) -> None:
    """The note that libvirt has of a snapshot, with its passwords, which are never kept elsewhere."""
    found = kept.Snapshot.parse(kept.handle(machine, name).ask(str, "getXMLDesc", XML_SECURE))
    for target, file in overlays.items():
        found.move_overlay(target, str(file))
    machine.tell("snapshotCreateXML", found.text(), kept.REDEFINE | flags)


def _current(machine: Machine) -> str:
    return next((one.name for one in kept.of_machine(machine) if one.current), "")


def _list(files: object, before: str = "") -> str:
    """``: a, b``, as far as one line goes."""
    texts = [str(file) for file in files] if isinstance(files, (list, tuple)) else []
    if not texts:
        return ""
    rest = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
    return f": {before}{texts[0]}"[:110] + rest
