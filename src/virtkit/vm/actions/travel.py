"""A machine goes to another host, and the disks that wait for it there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import MachineError, NotFoundError, VerifyError
from virtkit.core.progress import Note, silent
from virtkit.core.units import format_size
from virtkit.vm import connection, library
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.migration import job, place, storage
from virtkit.vm.migration.journey import Journey
from virtkit.vm.migration.way import Way

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.vm.migration.job import Arrived


@dataclass(frozen=True)
class ProveStorage(MachineAction):
    """Changes nothing: fails unless both hosts see one directory, or unless each has one of its own."""

    kind: ClassVar[str] = "vm.prove_storage"
    stands_alone: ClassVar[bool] = True
    changes: ClassVar[bool] = False

    there: str
    directory: str
    shared: bool

    def describe(self) -> str:
        return f"{self.directory}: proven to be {self._words(shared=self.shared)} at {self.there}"

    def capture(self, system: System) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as here, connection.open(self.there) as there:
            shared = place.same(here, there, self.directory)
        if shared != self.shared:
            found, wanted = self._words(shared=shared), self._words(shared=self.shared)
            hint = "--unsafe instead of --copy-storage-all" if shared else "--copy-storage-all instead of --unsafe"
            raise MachineError(f"{self.directory}: is {found} at {self.there}, expected {wanted}", hint=hint)

    def verify(self, system: System) -> None:
        """It was just seen."""

    def undo(self, system: System, before: Json) -> None:
        """Nothing was changed."""

    def _words(self, *, shared: bool) -> str:
        return "the same storage" if shared else "storage of its own"


@dataclass(frozen=True)
class PlaceDisk(MachineAction):
    """An empty disk at ``uri``, of the size of the one whose content comes."""

    kind: ClassVar[str] = "vm.place_disk"
    sign: ClassVar[str] = "+"
    holds_data: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True

    path: str
    format: str
    size: int  # bytes

    def describe(self) -> str:
        return f"{self.path} at {self.uri}: {self.format}, {format_size(self.size)}, for machine {self.name}"

    def capture(self, system: System) -> Json:
        try:
            with self._open() as libvirt:
                seen = place.look(libvirt, self.path)
        except NotFoundError:
            return None
        return seen.size if seen.exists else None

    def apply(self, system: System, report: Sink) -> None:
        with self._open() as libvirt:
            place.make(libvirt, self.path, self.format, self.size)

    def verify(self, system: System) -> None:
        if (found := self.capture(system)) != self.size:
            raise VerifyError(self.describe(), f"is {found} bytes, expected {self.size}")

    def undo(self, system: System, before: Json) -> None:
        if before is None:
            with self._open() as libvirt:
                place.delete(libvirt, self.path)


@dataclass(frozen=True)
class Migrate(MachineAction):
    """From ``uri`` to ``there``; undo brings it back the same way."""

    kind: ClassVar[str] = "vm.migrate"

    there: str
    offline: bool = False
    copied: list[str] = field(default_factory=list)  # targets of the disks whose content goes along
    unsafe: bool = False
    bandwidth: int = 0  # bytes per second
    downtime: int = 0  # milliseconds
    auto_converge: bool = False
    postcopy: bool = False
    address: str = ""

    @property
    def way(self) -> Way:
        return Way(
            offline=self.offline,
            copied=tuple(self.copied),
            unsafe=self.unsafe,
            bandwidth=self.bandwidth,
            downtime=self.downtime,
            auto_converge=self.auto_converge,
            postcopy=self.postcopy,
            address=self.address,
        )

    def describe(self) -> str:
        how = "its definition alone" if self.offline else "live"
        disks = f", with the content of {', '.join(map(str, self.copied))}" if self.copied else ""
        return f"machine {self.name}: migrate to {self.there}, {how}{disks}"

    def capture(self, system: System) -> Json:
        """Where it is. The other host is asked only if it is not here: that one may be dead."""
        for uri in (self.uri, self.there):
            with connection.open(uri) as libvirt:
                if (machine := libvirt.find(self.name)) is not None:
                    return {"at": uri, "runs": machine.active}
        return None

    def difference(self, left: Json, now: Json, system: System) -> str:
        if not isinstance(now, dict):
            return ""
        return f"the machine is {'running' if now['runs'] else 'off'} at {now['at']}"

    def apply(self, system: System, report: Sink) -> None:
        arrived = self._travel(self.uri, self.there, self.way, report)
        if arrived.total is not None and arrived.memory is not None:
            sent = f"{format_size(arrived.memory)} of memory were sent, {arrived.total / 1000:.1f} s in all"
            report(Note(f"machine {self.name}", f"stood still for {arrived.downtime} ms; {sent}"))

    def verify(self, system: System) -> None:
        with connection.open(self.there) as there, self._open() as here:
            if (left := here.find(self.name)) is not None:
                raise VerifyError(self.describe(), f"is {left.state} at {self.uri} still, expected it gone from there")
            state = there.named(self.name).state
        if (state == "shut off") != self.offline:
            raise VerifyError(self.describe(), f"is {state} at {self.there}")

    def undo(self, system: System, before: Json) -> None:
        with self._open() as here:
            if (machine := here.find(self.name)) is not None:
                job.settle(machine)
        if _place(before) == self.uri and _place(self.capture(system)) == self.there:
            self._make_room()
            self._travel(self.there, self.uri, self.way._replace(address=""), silent)

    def _make_room(self) -> None:
        """The old disks may have been deleted since."""
        with connection.open(self.there) as there, self._open() as here:
            machine = there.named(self.name)
            for store in storage.stores(machine.now()):
                if store.target in self.copied and not place.exists(here, store.path):
                    place.make(here, store.path, store.format, storage.size_of(machine, store))

    def _travel(self, start: str, end: str, way: Way, report: Sink) -> Arrived:
        with library.heartbeat(), connection.open(start) as here, connection.open(end) as there:
            machine = here.named(self.name)
            autostart = machine.persistent and machine.autostart
            arrived = Journey(machine, there, way, report).run()
            if autostart:
                there.named(self.name).autostart = True  # libvirt leaves it behind
            return arrived


def _place(state: Json) -> str:
    return str(state["at"]) if isinstance(state, dict) else ""
