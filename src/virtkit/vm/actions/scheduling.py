"""Machines are given their place in the order in which they start with the host, and somebody who starts them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.vm import schedule
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.schedule import Schedule
from virtkit.vm.startup import unit

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class SetSchedule(MachineAction):
    """``wanted``: order, delay and patience with the agent (seconds); None: it has no place in the order."""

    kind: ClassVar[str] = "vm.set_schedule"
    stands_alone: ClassVar[bool] = True

    wanted: list[int] | None

    def describe(self) -> str:
        if self.wanted is None:
            return f"machine {self.name}: no place in the order in which machines start with the host"
        return f"machine {self.name}: start with the host, {Schedule(*self.wanted)}"

    def capture(self, system: System) -> Json:
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is None:
                return None
            found = schedule.of(machine.next_start())
            return {"schedule": None if found is None else list(found)}

    def apply(self, system: System, report: Sink) -> None:
        self._write(self.wanted)

    def verify(self, system: System) -> None:
        if (found := self.capture(system)) != {"schedule": self.wanted}:
            raise VerifyError(self.describe(), f"is {found}, expected {self.wanted}")

    def undo(self, system: System, before: Json) -> None:
        if isinstance(before, dict):
            self._write(before["schedule"])

    def _write(self, state: Json) -> None:
        with self._open() as libvirt:
            if (machine := libvirt.find(self.name)) is not None:
                found = schedule.from_json(state)
                machine.set_metadata(schedule.NAMESPACE, schedule.PREFIX, schedule.written(found) if found else "")


@dataclass(frozen=True)
class AutostartUnit(Action):
    """The unit that starts the machines; an empty ``text`` takes it away."""

    kind: ClassVar[str] = "vm.autostart_unit"
    stands_alone: ClassVar[bool] = True

    path: str
    link: str
    text: str

    def describe(self) -> str:
        return f"{self.path}: {'starts the machines with an order with the host' if self.text else 'removed'}"

    def details(self) -> list[str]:
        return self.text.splitlines()

    def capture(self, system: System) -> Json:
        return {"text": system.read_or(self.path, ""), "linked": system.exists(self.link)}

    def apply(self, system: System, report: Sink) -> None:
        self._put(self.text, system)

    def verify(self, system: System) -> None:
        wanted = {"text": self.text.strip(), "linked": bool(self.text)}
        if self.capture(system) != wanted:
            raise VerifyError(self.describe(), "is not there as it was written" if self.text else "is still there")

    def undo(self, system: System, before: Json) -> None:
        if isinstance(before, dict):
            self._put(str(before["text"]), system)

    def _put(self, text: str, system: System) -> None:
        if text:
            unit.install(self.path, self.link, f"{text.strip()}\n", system)
        else:
            unit.remove(self.path, self.link, system)
