"""libvirt looks anew at what a storage pool holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VirtkitError
from virtkit.core.progress import Note
from virtkit.vm.actions.action import MachineAction
from virtkit.vm.library import Handle

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class RefreshPool(MachineAction):
    """``name`` is the pool's. Its files were made or deleted past libvirt, and ``virsh vol-list`` is to show that."""

    kind: ClassVar[str] = "vm.refresh_pool"
    changes: ClassVar[bool] = False

    def describe(self) -> str:
        return f"storage pool {self.name}: refresh, so that its list of volumes is as its files are"

    def capture(self, system: System) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        """What it does not like about the pool is told, and ends nothing: the files are as they should be."""
        try:
            with self._open() as libvirt:
                Handle(libvirt.host.ask(object, "storagePoolLookupByName", self.name), self.name).tell("refresh", 0)
        except VirtkitError as error:
            report(Note(self.describe(), error.message))

    def verify(self, system: System) -> None:
        """Libvirt keeps no date of it."""

    def undo(self, system: System, before: Json) -> None:
        """There is nothing to put back."""
