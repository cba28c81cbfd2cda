"""A machine's threads are tied to CPUs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, cast

from virtkit.core.errors import VerifyError
from virtkit.vm import library, pinning
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.cpus import format_cpus, parse_cpus
from virtkit.vm.pinning import Pins

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class Pin(MachineAction):
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


def _pin_data(pins: Pins) -> dict[str, Json]:
    vcpus: dict[str, Json] = {str(vcpu): format_cpus(cpus) for vcpu, cpus in pins.vcpus.items()}
    return {"vcpus": vcpus, "emulator": format_cpus(pins.emulator)}


def _pins(data: Json) -> Pins:
    record = cast("dict[str, dict[str, str] | str]", data)
    vcpus = cast("dict[str, str]", record["vcpus"])
    return Pins({int(vcpu): parse_cpus(cpus) for vcpu, cpus in vcpus.items()}, parse_cpus(str(record["emulator"])))
