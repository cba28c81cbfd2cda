"""PCI devices: virtual functions are made, drivers are changed (Documentation/ABI/testing/sysfs-bus-pci)."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import SystemCallError, VerifyError
from virtkit.core.plan import Action
from virtkit.host.kernel import Kernel
from virtkit.host.pci import DEVICES

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

_BIND_SECONDS = 5.0  # a driver that probes asynchronously
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class SetVirtualFunctions(Action):
    """How many a physical function has. They go and come as a whole: the kernel wants 0 in between."""

    kind: ClassVar[str] = "host.set_virtual_functions"
    needs_root: ClassVar[bool] = True
    volatile: ClassVar[bool] = True

    address: str
    count: int

    def describe(self) -> str:
        return f"{self.address}: {self.count} virtual functions"

    def capture(self, system: System) -> Json:
        return Kernel(system).number(self._file)

    def apply(self, system: System, report: Sink) -> None:
        self._set(system, self.count)

    def verify(self, system: System) -> None:
        if (found := self.capture(system)) != self.count:
            raise VerifyError(self.describe(), f"the kernel says {found}")

    def undo(self, system: System, before: Json) -> None:
        if isinstance(before, int) and self.capture(system) is not None:
            self._set(system, before)

    @property
    def _file(self) -> str:
        return f"{DEVICES}/{self.address}/sriov_numvfs"

    def _set(self, system: System, count: int) -> None:
        now = self.capture(system)
        if now == count:
            return
        if now:
            system.write(self._file, "0")
        if count:
            system.write(self._file, str(count))


@dataclass(frozen=True)
class BindDriver(Action):
    """Which driver has a device; empty: whichever the kernel chooses by itself."""

    kind: ClassVar[str] = "host.bind_driver"
    needs_root: ClassVar[bool] = True
    volatile: ClassVar[bool] = True

    address: str
    driver: str

    def describe(self) -> str:
        return f"{self.address}: driver {self.driver or 'as the kernel chooses'}"

    def capture(self, system: System) -> Json:
        kernel = Kernel(system)
        override = kernel.text(f"{self._place}/driver_override")
        if override is None:
            return None
        return {"driver": kernel.link(f"{self._place}/driver"), "override": "" if override == "(null)" else override}

    def fingerprint(self, state: Json) -> Json:
        """Which of the other drivers has it drifts: one that is asked to probe it may take it, and give it up again."""
        if not isinstance(state, dict):
            return None
        return {"override": state["override"], "ours": bool(self.driver) and state["driver"] == self.driver}

    def apply(self, system: System, report: Sink) -> None:
        self._bind(system, self.driver)

    def verify(self, system: System) -> None:
        if not self.driver:
            return
        until = time.monotonic() + _BIND_SECONDS
        while (found := Kernel(system).link(f"{self._place}/driver")) != self.driver:
            if time.monotonic() > until:
                raise VerifyError(self.describe(), f"the kernel gave it to {found or 'nobody'}")
            time.sleep(_POLL_SECONDS)

    def undo(self, system: System, before: Json) -> None:
        if isinstance(before, dict) and self.capture(system) not in (None, before):
            self._bind(system, str(before["override"]))

    @property
    def _place(self) -> str:
        return f"{DEVICES}/{self.address}"

    def _bind(self, system: System, driver: str) -> None:
        """The override first: whatever is probed from then on, no other driver gets it."""
        if driver and not system.exists(f"/sys/bus/pci/drivers/{driver}"):
            system.run(["modprobe", driver])
        system.write(f"{self._place}/driver_override", f"{driver}\n")
        with suppress(SystemCallError):  # nobody has it
            system.write(f"{self._place}/driver/unbind", self.address)
        system.write("/sys/bus/pci/drivers_probe", self.address)
