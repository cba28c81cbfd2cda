"""A machine is forgotten with all that libvirt notes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import BusyError, ConflictError, NotSupportedError, VerifyError
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.backups.job import checkpoints
from virtkit.vm.domain import Domain
from virtkit.vm.snapshots import snapshot as kept
from virtkit.vm.xml import parse

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.machine import Machine

_SHOWN = 3  # of its notes, on the plan's line; the JSON has them all
_REDEFINE = 1  # VIR_DOMAIN_CHECKPOINT_CREATE_REDEFINE


@dataclass(frozen=True)
class Forget(MachineAction):
    """Undefine it, with its snapshots and checkpoints; no file of it is touched here.

    Undo defines it again, without passwords, as long as the files ``needed`` for that are there.
    """

    kind: ClassVar[str] = "vm.forget"
    sign: ClassVar[str] = "-"

    needed: list[str]
    snapshots: list[str]
    checkpoints: list[str]

    @classmethod
    def of(cls, machine: Machine, needed: list[str]) -> Forget:
        snapshots = [one.name for one in kept.of_machine(machine)]
        return cls(machine.name, needed, snapshots, [each.ask(str, "getName") for each in checkpoints(machine)])

    def describe(self) -> str:
        notes = [f"snapshot {name}" for name in self.snapshots] + [f"checkpoint {name}" for name in self.checkpoints]
        shown = ", ".join(notes[:_SHOWN]) + (f" and {len(notes) - _SHOWN} more" if len(notes) > _SHOWN else "")
        return f"machine {self.name}: undefine" + (f", with libvirt's notes of {shown}" if notes else "")

    def details(self) -> list[str]:
        return [*self.snapshots, *self.checkpoints]

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is None:
                return None
            snapshots = kept.of_machine(machine)
            return {
                "xml": machine.next_start().text(),
                "autostart": machine.autostart,
                "snapshots": [one.text() for one in snapshots],
                "current": next((one.name for one in snapshots if one.current), ""),
                "checkpoints": [each.ask(str, "getXMLDesc", 0) for each in checkpoints(machine)],
            }

    def fingerprint(self, state: Json) -> Json:
        return Domain.parse(str(state["xml"])).digest if isinstance(state, dict) else None

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if machine.active:
                raise BusyError(f"{self.name}: is {machine.state}, expected shut off", hint="virtkit history")
            machine.forget()

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            if libvirt.find(self.name) is not None:
                raise VerifyError(self.describe(), "is still defined")

    def undo(self, system: System, before: Json) -> None:
        if not isinstance(before, dict):
            return
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None:
                self._require_files(system)
                machine = libvirt.define(str(before["xml"]))
            elif machine.uuid != Domain.parse(str(before["xml"])).uuid:
                hint = f"virtkit vm show {self.name}"
                raise ConflictError(f"{self.name}: is another machine by now, with UUID {machine.uuid}", hint=hint)
            machine.autostart = bool(before["autostart"])
            _note_again(machine, before)

    def _require_files(self, system: System) -> None:
        gone = [file for file in self.needed if not system.exists(file)]
        if gone:
            lost = f"{len(gone)} of the {len(self.needed)} files that it would start from"
            raise NotSupportedError(f"{self.name}: {lost} are deleted for good")


def _note_again(machine: Machine, before: dict[str, Json]) -> None:
    """Snapshots and checkpoints: libvirt is told what it knew; parents come before their children."""
    snapshots, marks = before["snapshots"], before["checkpoints"]
    known = {one.name for one in kept.of_machine(machine)}
    for document in snapshots if isinstance(snapshots, list) else []:
        one = kept.Snapshot.parse(str(document))
        if one.name not in known:
            current = kept.CURRENT if one.name == before["current"] else 0
            machine.tell("snapshotCreateXML", one.text(), kept.REDEFINE | current)
    have = {each.ask(str, "getName") for each in checkpoints(machine)}
    for document in marks if isinstance(marks, list) else []:
        if parse(str(document)).findtext("name") not in have:
            machine.tell("checkpointCreateXML", str(document), _REDEFINE)
