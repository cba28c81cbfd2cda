"""A machine's settings: the definition that its next start takes, and what changes while it runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import ConflictError, VerifyError
from virtkit.vm import knobs, secrets
from virtkit.vm.access.explain import explained
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.difference import Change, changes, devices, flatten, lines, said
from virtkit.vm.domain import Domain
from virtkit.vm.machine import POLL

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine

SETTLE_SECONDS = 15  # until the guest has given memory back, or uses its vCPUs
_SHOWN = 2  # changes that one line has room for


@dataclass(frozen=True)
class Redefine(MachineAction):
    """Replace the definition for the next start. Passwords are not in it: libvirt is given those that it has."""

    kind: ClassVar[str] = "vm.redefine"

    xml: str
    replaces: str  # ``Domain.digest`` of the definition that the plan saw
    said: str  # the changes in words, a line each
    wanted: dict[str, Json]  # by path what the changed fields will be
    lines: str  # of the XML, the difference, line by line

    @classmethod
    def of(cls, name: str, old: Domain, new: Domain) -> Redefine:
        found = changes(old.node, new.node)
        wanted: dict[str, Json] = {change.path: change.new for change in found}
        words, xml = "\n".join(map(str, found)), "\n".join(lines(old.node, new.node))
        return cls(name, new.text(), old.digest, words, wanted, xml)

    def describe(self) -> str:
        each = self.said.split("\n")
        rest = f" and {len(each) - _SHOWN} more" if len(each) > _SHOWN else ""
        return f"machine {self.name}: from the next start: {', '.join(each[:_SHOWN])}"[:180] + rest

    def details(self) -> list[str]:
        return [*(self.said.split("\n") if self.said.count("\n") >= _SHOWN else []), *self.lines.split("\n")]

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            return None if machine is None else machine.next_start().text()

    def fingerprint(self, state: Json) -> Json:
        return None if state is None else Domain.parse(str(state)).digest

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if machine.next_start().digest != self.replaces:
                hint = f"virtkit vm show {self.name}"
                raise ConflictError(f"{self.name}: its definition changed since the plan was made", hint=hint)
            _define(libvirt, machine, self.xml)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            found = libvirt.named(self.name).next_start().node
        fields, present = flatten(found), devices(found)
        for path, wanted in self.wanted.items():
            whole = Change(path, "", str(wanted)).whole
            real = wanted if whole and path in present else fields.get(path, "")
            if real != wanted and not (wanted == "present" and path in fields):
                raise VerifyError(self.describe(), f"{path} is {real or 'absent'}, expected {wanted or 'none'}")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is not None and machine.next_start().digest != Domain.parse(str(before)).digest:
                _define(libvirt, machine, str(before))


@dataclass(frozen=True)
class Tune(MachineAction):
    """Change fields of the running machine by one of ``virtkit.vm.knobs``; a machine that is off is left alone."""

    kind: ClassVar[str] = "vm.tune"
    stands_alone: ClassVar[bool] = True

    knob: str
    device: str  # as in ``difference.devices``; empty: the machine itself
    values: dict[str, Json]  # by path below the device

    def describe(self) -> str:
        values = ", ".join(f"{path} {said(path, str(value))}" for path, value in self.values.items())
        return f"machine {self.name}: now: {f'{self.device} ' if self.device else ''}{values}"[:190]

    def capture(self, system: System) -> Json:
        """None while it is off, or without the device: nothing to put back then."""
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None or not machine.active:
                return None
            if self.device and self.device not in devices(machine.now().node):
                return None
            return dict(self._read(machine))

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            self._write(libvirt.named(self.name), self.values)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            found = self._settled(libvirt.named(self.name), self.values)
        if found != self.values:
            raise VerifyError(self.describe(), f"is {found} after {SETTLE_SECONDS} s, expected {self.values}")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is not None and machine.active and isinstance(before, dict):
                self._write(machine, before)
                self._settled(machine, before)

    def _read(self, machine: Machine) -> dict[str, str]:
        return knobs.load(self.knob).read(machine, self.device, self.values)

    def _write(self, machine: Machine, values: dict[str, Json]) -> None:
        with explained(machine):
            knobs.load(self.knob).write(machine, self.device, {path: str(value) for path, value in values.items()})

    def _settled(self, machine: Machine, wanted: dict[str, Json]) -> dict[str, str]:
        """What it has once it has what is ``wanted``, or when the time is over."""
        end = time.monotonic() + SETTLE_SECONDS
        while (found := self._read(machine)) != wanted and time.monotonic() < end:
            time.sleep(POLL)
        return found


def _define(libvirt: Connection, machine: Machine, xml: str) -> None:
    document = Domain.parse(xml)
    secrets.graft(document, machine.next_start(secrets=True))
    libvirt.define(document.text())
