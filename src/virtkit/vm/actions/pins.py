"""A machine's threads are tied to CPUs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, cast

from virtkit.core.errors import VerifyError
from virtkit.vm import library, pinning
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.cpus import format_cpus, parse_cpus
from virtkit.vm.pinning import Pins

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.cpus import Cpus
    from virtkit.vm.machine import Machine


@dataclass(frozen=True)
class _Pinning(MachineAction):
    """What pins were, and how they come back."""

    stands_alone: ClassVar[bool] = True

    def capture(self, system: System) -> Json:
        """``live`` is listed only where a running machine differs from what its next start would have."""
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is None:
                return None
            domain = machine.next_start()
            live = pinning.present(machine, library.LIVE) if machine.active else None
            same = live is None or (machine.persistent and live == pinning.present(machine, library.CONFIG))
            return {
                "next start": {**_pin_data(pinning.of_domain(domain)), "numatune": domain.numatune},
                "live": None if same or live is None else _pin_data(live),
            }

    def fingerprint(self, state: Json) -> Json:
        """A machine that was stopped since has lost its live pins, and nobody changed anything."""
        return state["next start"] if isinstance(state, dict) else state

    def undo(self, system: System, before: Json) -> None:
        with self._open() as libvirt:
            machine = libvirt.find(self.name)
            if machine is None or not isinstance(before, dict):
                return
            if machine.persistent:
                later = before["next start"]
                pinning.restore_next_start(
                    libvirt, machine, _pins(later), cast("dict[str, str]", later).get("numatune")
                )
            if machine.active:
                live = before["live"]
                pinning.set_live(machine, _pins(live) if live else pinning.present(machine, library.CONFIG), system)


@dataclass(frozen=True)
class Pin(_Pinning):
    """Keep vCPUs, and the emulator's own threads, on given CPUs of the host: now and after the next start."""

    kind: ClassVar[str] = "vm.pin"

    vcpus: dict[str, Json]  # by vCPU's number, as text (JSON has no others), a list of CPUs as in 0-3,8
    emulator: str = ""  # empty: stays as it is
    iothreads: dict[str, Json] = field(default_factory=dict)  # by I/O thread's number, as vcpus
    nodes: str = ""  # of its memory, from the next start on; empty: stays as it is
    mode: str = "strict"

    @classmethod
    def of(cls, name: str, pins: Pins) -> Pin:
        return cls(name, _texts(pins.vcpus), format_cpus(pins.emulator), _texts(pins.iothreads), *_memory(pins))

    @property
    def pins(self) -> Pins:
        pins = _pins({"vcpus": self.vcpus, "emulator": self.emulator, "iothreads": self.iothreads})
        return pins._replace(nodes=parse_cpus(self.nodes), mode=self.mode)

    def describe(self) -> str:
        return f"machine {self.name}: pin {self.pins}"

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            pinning.set_pins(libvirt.named(self.name), self.pins, system)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if machine.persistent and not self.pins.within(shown := pinning.of_domain(machine.next_start())):
                raise VerifyError(self.describe(), f"is {shown} after the next start")
            if machine.active and libvirt.local:
                pinning.verify(machine, self.pins, system)


@dataclass(frozen=True)
class Unpin(_Pinning):
    """Let all threads run on every CPU that machines may have: now and after the next start."""

    kind: ClassVar[str] = "vm.unpin"

    def describe(self) -> str:
        return f"machine {self.name}: pin nothing, its threads may run on every CPU"

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if machine.persistent:
                pinning.restore_next_start(libvirt, machine, Pins({}))
            if machine.active:
                pinning.set_live(machine, self._everywhere(machine, system), system)

    def verify(self, system: System) -> None:
        with self._open() as libvirt:
            machine = libvirt.named(self.name)
            if machine.persistent and (left := pinning.of_domain(machine.next_start())).pinned:
                raise VerifyError(self.describe(), f"is {left} after the next start")
            if machine.active and libvirt.local:
                pinning.verify(machine, self._everywhere(machine, system), system)

    @staticmethod
    def _everywhere(machine: Machine, system: System) -> Pins:
        cpus, now = pinning.host_cpus(system).allowed, pinning.present(machine, library.LIVE)
        return Pins(dict.fromkeys(now.vcpus, cpus), cpus, dict.fromkeys(now.iothreads, cpus))


def _pin_data(pins: Pins) -> dict[str, Json]:
    return {
        "vcpus": _texts(pins.vcpus),
        "emulator": format_cpus(pins.emulator),
        "iothreads": _texts(pins.iothreads),
    }


def _texts(pins: Mapping[int, Cpus]) -> dict[str, Json]:
    return {str(number): format_cpus(cpus) for number, cpus in pins.items()}


def _memory(pins: Pins) -> tuple[str, str]:
    return format_cpus(pins.nodes), pins.mode


def _pins(data: Json) -> Pins:
    """A change that was made before I/O threads were pinned says nothing of them."""
    record = cast("dict[str, dict[str, str] | str]", data)
    vcpus, iothreads = (cast("dict[str, str]", record.get(key, {})) for key in ("vcpus", "iothreads"))
    return Pins(_numbers(vcpus), parse_cpus(str(record["emulator"])), _numbers(iothreads))


def _numbers(texts: dict[str, str]) -> dict[int, Cpus]:
    return {int(number): parse_cpus(cpus) for number, cpus in texts.items()}
