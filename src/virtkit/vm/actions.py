"""What changes a machine. Each action opens libvirt anew, so that any process can undo it.

A machine that somebody undefined since is no fault: there is nothing left to put back on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast

from virtkit.core.errors import BusyError, ConflictError, MachineError, NotSupportedError, VerifyError
from virtkit.core.plan import Action
from virtkit.core.progress import Note, silent
from virtkit.vm import connection, library, nics, pinning
from virtkit.vm.cpus import format_cpus, parse_cpus
from virtkit.vm.devices import BRIDGE
from virtkit.vm.domain import Domain
from virtkit.vm.lifecycle import STOP_SECONDS, ask_to_stop, destroy, stop_or_destroy
from virtkit.vm.nics import Place
from virtkit.vm.pinning import Pins

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.connection import Connection
    from virtkit.vm.devices import Nic
    from virtkit.vm.machine import Machine


@dataclass(frozen=True)
class _MachineAction(Action):
    """``uri`` is settled when the action is made: undo speaks to the same libvirt, whatever the environment is then."""

    name: str
    uri: str = field(default_factory=connection.default_uri, kw_only=True)

    def _open(self) -> Connection:
        return connection.open(self.uri)


@dataclass(frozen=True)
class Define(_MachineAction):
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
class Undefine(_MachineAction):
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
class Start(_MachineAction):
    kind: ClassVar[str] = "vm.start"

    def describe(self) -> str:
        return f"machine {self.name}: start"

    def capture(self, system: System) -> Json:
        return _runs(self._open(), self.name)

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if not machine.active:
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
class Stop(_MachineAction):
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
class Autostart(_MachineAction):
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


@dataclass(frozen=True)
class Pin(_MachineAction):
    """Keep vCPUs, and the emulator's own threads, on given CPUs of the host: now and after the next start."""

    kind: ClassVar[str] = "vm.pin"
    stands_alone: ClassVar[bool] = True

    vcpus: dict[str, Json]  # by vCPU's number, as text (JSON has no others), a list of CPUs as in 0-3,8
    emulator: str = ""  # empty: stays as it is

    @classmethod
    def of(cls, name: str, pins: Pins) -> Pin:
        vcpus: dict[str, Json] = {str(vcpu): format_cpus(cpus) for vcpu, cpus in pins.vcpus.items()}
        return cls(name, vcpus, format_cpus(pins.emulator))

    @property
    def pins(self) -> Pins:
        return _pins({"vcpus": self.vcpus, "emulator": self.emulator})

    def describe(self) -> str:
        return f"machine {self.name}: pin {self.pins}"

    def capture(self, system: System) -> Json:
        """``live`` is listed only where a running machine differs from what its next start would have."""
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is None:
                return None
            domain = machine.next_start()
            live = pinning.present(machine, library.LIVE) if machine.active else None
            same = live is None or (machine.persistent and live == pinning.present(machine, library.CONFIG))
            return {
                "next start": _pin_data(Pins(domain.pins, parse_cpus(domain.emulator_pin))),
                "live": None if same or live is None else _pin_data(live),
            }

    def fingerprint(self, state: Json) -> Json:
        """A machine that was stopped since has lost its live pins, and nobody changed anything."""
        return state["next start"] if isinstance(state, dict) else state

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            pinning.set_pins(libvirt.named(self.name), self.pins, system)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            shown = pinning.present(machine, library.CONFIG) if machine.persistent else None
            if shown is not None and not self.pins.within(shown):
                raise VerifyError(self.describe(), f"is {shown} after the next start")
            if machine.active and libvirt.local:
                pinning.verify(machine, self.pins, system)

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None or not isinstance(before, dict):
                return
            if machine.persistent:
                pinning.restore_next_start(libvirt, machine, _pins(before["next start"]))
            if machine.active:
                live = before["live"]
                pinning.set_live(machine, _pins(live) if live else pinning.present(machine, library.CONFIG), system)


@dataclass(frozen=True)
class Attach(_MachineAction):
    """Plug a network card into a bridge: now, with the link taken down and up, and after the next start."""

    kind: ClassVar[str] = "vm.attach"
    stands_alone: ClassVar[bool] = True

    mac: str
    bridge: str

    @property
    def target(self) -> Place:
        return Place(BRIDGE, self.bridge)

    def describe(self) -> str:
        return f"machine {self.name}: network card {self.mac} to bridge {self.bridge}"

    def capture(self, system: System) -> Json:
        """Where the card is; ``live`` only where that differs, as for pins."""
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is None:
                return None
            nic = machine.now().nic(self.mac)
            later = _place_data(machine.next_start().nic(self.mac)) if machine.persistent else None
            live = _place_data(nic) if machine.active else None
            link = "" if nic is None else nic.link
            return {"next start": later, "live": None if live == later else live, "link": link}

    def fingerprint(self, state: Json) -> Json:
        """Without the link's state: it is nobody's business here, but a half-done change leaves it down."""
        return {**state, "link": ""} if isinstance(state, dict) else None

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            nics.move_all(machine, self.mac, self.target, self.target)
            if machine.active:
                report(Note(self.describe(), "link down and up, so that the guest asks for an address again"))
                nics.bounce(machine, self.mac)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            nics.verify(libvirt.named(self.name), self.mac, self.target, system)

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None or not isinstance(before, dict):
                return
            later = _place(before["next start"])
            moved = nics.move_all(machine, self.mac, later, _place(before["live"]) or later)
            if machine.active:
                nics.set_link(machine, self.mac, str(before["link"]))
                if moved:
                    nics.bounce(machine, self.mac)


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


def _pin_data(pins: Pins) -> dict[str, Json]:
    vcpus: dict[str, Json] = {str(vcpu): format_cpus(cpus) for vcpu, cpus in pins.vcpus.items()}
    return {"vcpus": vcpus, "emulator": format_cpus(pins.emulator)}


def _pins(data: Json) -> Pins:
    record = cast("dict[str, dict[str, str] | str]", data)
    vcpus = cast("dict[str, str]", record["vcpus"])
    return Pins({int(vcpu): parse_cpus(cpus) for vcpu, cpus in vcpus.items()}, parse_cpus(str(record["emulator"])))


def _place_data(nic: Nic | None) -> list[Json]:
    return [] if nic is None else list(nics.place(nic))


def _place(data: Json) -> Place | None:
    """None for a card that is not there."""
    return Place(str(data[0]), str(data[1])) if isinstance(data, list) and data else None
