"""A machine is defined, started, stopped, and taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import BusyError, ConflictError, MachineError, NotSupportedError, VerifyError
from virtkit.core.progress import silent
from virtkit.vm.access.explain import explained
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.domain import Domain
from virtkit.vm.lifecycle import STOP_SECONDS, ask_to_stop, destroy, stop_or_destroy

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.machine import Machine


@dataclass(frozen=True)
class Define(MachineAction):
    """Make a machine, or replace the XML of the one that the plan saw."""

    kind: ClassVar[str] = "vm.define"
    sign: ClassVar[str] = "+"

    xml: str
    replaces: str = ""  # ``Domain.digest`` of the machine that may be replaced; empty: the name must be free

    def describe(self) -> str:
        domain = Domain.parse(self.xml)
        way = "KVM" if domain.type == "kvm" else "TCG"
        return f"machine {self.name}: {'redefine' if self.replaces else 'define'}, {domain.vcpus} vCPUs, {way}"

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is None:
                return None
            return _journalled(machine)

    def fingerprint(self, state: Json) -> Json:
        return None if state is None else Domain.parse(str(state)).digest

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if (machine.next_start().digest if machine else "") != self.replaces:
                found = "changed since the plan was made" if self.replaces else "exists already"
                raise ConflictError(f"{self.name}: {found}", hint=f"virtkit vm show {self.name}")
            libvirt.define(self.xml)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            found = libvirt.named(self.name).next_start().essentials()
        for wanted, real in zip(Domain.parse(self.xml).essentials(), found, strict=True):
            if wanted != real:
                raise VerifyError(self.describe(), f"is {real}, expected {wanted}")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if before is not None:
                _redefine(libvirt, machine, str(before))
            elif machine is not None:
                undefine(machine, keep_nvram=False)


@dataclass(frozen=True)
class Undefine(MachineAction):
    """Forget a machine that is off; its disks and its firmware's variables stay."""

    kind: ClassVar[str] = "vm.undefine"
    sign: ClassVar[str] = "-"

    def describe(self) -> str:
        return f"machine {self.name}: undefine; its disks stay"

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is None:
                return None
            return {"xml": _journalled(machine), "autostart": machine.autostart}

    def fingerprint(self, state: Json) -> Json:
        return None if not isinstance(state, dict) else Domain.parse(str(state["xml"])).digest

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            undefine(libvirt.named(self.name), keep_nvram=True)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            if libvirt.find(self.name) is not None:
                raise VerifyError(self.describe(), "is still defined")

    def undo(self, system: System, before: Json) -> None:
        if not isinstance(before, dict):
            return
        with self._open() as libvirt:
            machine = _redefine(libvirt, libvirt.find(self.name), str(before["xml"]))
            machine.autostart = bool(before["autostart"])


@dataclass(frozen=True)
class Start(MachineAction):
    kind: ClassVar[str] = "vm.start"

    def describe(self) -> str:
        return f"machine {self.name}: start"

    def capture(self, system: System) -> Json:
        return _runs(self._open(), self.name)

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if not machine.active:
                with explained(machine):
                    machine.start()

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            state = libvirt.named(self.name).state
        if state not in ("running", "idle"):
            raise VerifyError(self.describe(), f"is {state}, expected running")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            if not before and (machine := libvirt.find(self.name)) is not None:
                stop_or_destroy(machine, STOP_SECONDS / 2, silent)


@dataclass(frozen=True)
class Stop(MachineAction):
    """Ask the guest to shut down and wait; ``force`` pulls the plug instead."""

    kind: ClassVar[str] = "vm.stop"

    seconds: int = STOP_SECONDS
    force: bool = False

    def describe(self) -> str:
        return f"machine {self.name}: {'force off' if self.force else 'stop'}"

    def capture(self, system: System) -> Json:
        return _runs(self._open(), self.name)

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if self.force:
                destroy(machine)
            elif not ask_to_stop(machine, self.seconds, report):
                raise MachineError(
                    f"{self.name}: the guest did not shut down within {self.seconds} s, and is left running",
                    hint=f"virtkit vm kill {self.name}",
                )

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is not None and machine.active:
                raise VerifyError(self.describe(), f"is {machine.state}, expected shut off")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if before and machine is not None and not machine.active:
                machine.start()


@dataclass(frozen=True)
class Autostart(MachineAction):
    """Whether the machine starts with the host."""

    kind: ClassVar[str] = "vm.autostart"
    stands_alone: ClassVar[bool] = True

    enabled: bool

    def describe(self) -> str:
        return f"machine {self.name}: {'start' if self.enabled else 'do not start'} with the host"

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            return None if machine is None else machine.autostart

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            libvirt.named(self.name).autostart = self.enabled

    def verify(self, system: System) -> None:
        if self.capture(system) != self.enabled:
            raise VerifyError(self.describe(), f"is {not self.enabled}, expected {self.enabled}")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            if before is not None and (machine := libvirt.find(self.name)) is not None:
                machine.autostart = bool(before)


def undefine(machine: Machine, *, keep_nvram: bool) -> None:
    check_undefine(machine)
    machine.undefine(keep_nvram=keep_nvram)


def check_undefine(machine: Machine) -> None:
    """BusyError for a machine that runs or holds a saved memory image: nobody asked for losing that."""
    if machine.active:
        raise BusyError(f"{machine.name}: is running, expected shut off", hint=f"virtkit vm stop {machine.name}")
    if machine.saved:
        hint = f"virtkit vm start {machine.name}   (to go on with it), or: virsh managedsave-remove {machine.name}"
        raise BusyError(f"{machine.name}: holds a saved memory image, expected none", hint=hint)


def _journalled(machine: Machine) -> str:
    """The XML that undo will need; NotSupportedError where it would put a password into the journal."""
    if machine.holds_secrets:
        hint = f"virsh edit {machine.name}"
        raise NotSupportedError(f"{machine.name}: its XML holds a password, which the journal must not hold", hint=hint)
    return machine.next_start().text()


def _redefine(libvirt: Connection, machine: Machine | None, xml: str) -> Machine:
    if machine is not None and machine.next_start().digest == Domain.parse(xml).digest:
        return machine
    return libvirt.define(xml)


def _runs(libvirt: Connection, name: str) -> bool:
    """A machine that is not there does not run."""
    with libvirt:
        machine = libvirt.find(name)
        return machine is not None and machine.active
