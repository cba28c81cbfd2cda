"""A machine's network card goes to another bridge, and its guest is reached there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import MachineError, VerifyError
from virtkit.core.progress import Note
from virtkit.vm import nics, reach
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.devices import BRIDGE
from virtkit.vm.nics import Place

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.devices import Nic


@dataclass(frozen=True)
class Attach(MachineAction):
    """Plug a network card into a bridge: now, with the link taken down and up, and after the next start."""

    kind: ClassVar[str] = "vm.attach"
    stands_alone: ClassVar[bool] = True

    mac: str
    source: str  # the bridge's or the network's name
    type: str = BRIDGE

    @property
    def target(self) -> Place:
        return Place(self.type, self.source)

    def describe(self) -> str:
        return f"machine {self.name}: network card {self.mac} to {self.target}"

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
            try:
                nics.move_all(machine, self.mac, self.target, self.target)
            except MachineError as error:
                again = f"virtkit vm attach {self.name} --{self.type} {self.source} --restart"
                raise MachineError(error.message, hint=again if machine.active else error.hint) from error
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


@dataclass(frozen=True)
class Reach(MachineAction):
    """Changes nothing: fails, and so takes the change back, unless the guest is reached over the bridge."""

    kind: ClassVar[str] = "vm.reach"
    changes: ClassVar[bool] = False

    mac: str
    bridge: str
    seconds: float = reach.SECONDS

    def describe(self) -> str:
        return f"machine {self.name}: reached over {self.bridge} within {self.seconds:g} s, and reaching out by it"

    def capture(self, system: System) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        report(Note(self.describe(), "waiting for the guest's address"))
        with self._open() as libvirt:
            proof = reach.prove(libvirt.named(self.name), self.mac, self.bridge, system, self.seconds)
        report(Note("address of the guest", f"{proof.address.address} ({proof.address.source})"))
        report(Note(f"{self.bridge} -> guest", proof.to_guest))
        report(Note("guest -> outside", proof.from_guest))

    def verify(self, system: System) -> None:
        """The card is still where the packets went."""
        with self._open() as libvirt:
            nic = libvirt.named(self.name).now().nic(self.mac)
        found = nics.master(system, nic.tap) if nic else "gone"
        if found != self.bridge:
            raise VerifyError(self.describe(), f"card {self.mac} is in {found or 'no bridge'}, expected {self.bridge}")

    def undo(self, system: System, before: Json) -> None:
        """Nothing was changed."""


def _place_data(nic: Nic | None) -> list[Json]:
    return [] if nic is None else list(nics.place(nic))


def _place(data: Json) -> Place | None:
    """None for a card that is not there."""
    return Place(str(data[0]), str(data[1])) if isinstance(data, list) and data else None
