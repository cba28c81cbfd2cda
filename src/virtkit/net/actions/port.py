"""A link that holds nothing becomes a port of a bridge, or is one no more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotFoundError, VerifyError
from virtkit.core.plan import Action
from virtkit.net import requests
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


class _Port(Action):
    needs_root: ClassVar[bool] = True

    port: str
    bridge: str

    def capture(self, system: System) -> Json:
        """None: no such link."""
        with Kernel() as kernel:
            network = kernel.network()
        link = network.by_name.get(self.port)
        if link is None:
            return None
        master = network.by_index.get(link.master)
        return {"up": link.up, "master": master.name if master else ""}

    def undo(self, system: System, before: Json) -> None:
        if isinstance(before, dict) and self.capture(system) is not None:
            self._set(str(before["master"]), up=before["up"] is True)

    def _set(self, master: str, *, up: bool) -> None:
        with Kernel() as kernel:
            found = kernel.link(master) if master else None
            if master and not found:
                raise NotFoundError(f"{master}: no such bridge, expected it for {self.port}")
            index = found.index if found else 0
            kernel.transaction([requests.set_master(self.port, index, master), requests.set_up(self.port, up=up)])

    def _expect(self, system: System, master: str) -> None:
        found = self.capture(system)
        if not isinstance(found, dict) or found["master"] != master:
            shown = found["master"] or "none" if isinstance(found, dict) else "no such link"
            raise VerifyError(self.describe(), f"bridge of {self.port} is {shown}, expected {master or 'none'}")


@dataclass(frozen=True)
class AddPort(_Port):
    kind: ClassVar[str] = "net.add_port"
    volatile: ClassVar[bool] = True
    cuts_off: ClassVar[bool] = True  # a second way into the same network is a loop
    sign: ClassVar[str] = "+"

    port: str
    bridge: str

    def describe(self) -> str:
        return f"{self.bridge}: take {self.port} as port"

    def apply(self, system: System, report: Sink) -> None:
        self._set(self.bridge, up=True)

    def verify(self, system: System) -> None:
        self._expect(system, self.bridge)


@dataclass(frozen=True)
class RemovePort(_Port):
    kind: ClassVar[str] = "net.remove_port"
    volatile: ClassVar[bool] = True
    cuts_off: ClassVar[bool] = True
    sign: ClassVar[str] = "-"

    port: str
    bridge: str

    def describe(self) -> str:
        return f"{self.bridge}: give up {self.port}"

    def apply(self, system: System, report: Sink) -> None:
        self._set("", up=True)

    def verify(self, system: System) -> None:
        self._expect(system, "")
