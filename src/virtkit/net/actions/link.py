"""One property of a link is set: what a diagnosis mends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import NotFoundError, VerifyError
from virtkit.core.plan import Action
from virtkit.net import requests
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.model import Link
    from virtkit.net.requests import Request

_READ: Mapping[str, Callable[[Link], str]] = {
    "mtu": lambda link: str(link.mtu),  # bytes
    "mac": lambda link: link.mac,
    "state": lambda link: "up" if link.up else "down",
    "stp": lambda link: "on" if link.bridge and link.bridge.stp else "off",
}
_WRITE: Mapping[str, Callable[[str, str], Request]] = {
    "mtu": lambda link, value: requests.set_mtu(link, int(value)),
    "mac": requests.set_mac,
    "state": lambda link, value: requests.set_up(link, up=value == "up"),
    "stp": lambda link, value: requests.set_stp(link, on=value == "on"),
}


@dataclass(frozen=True)
class SetLink(Action):
    """``name`` is mtu, mac, state (up or down) or stp (on or off)."""

    kind: ClassVar[str] = "net.set_link"
    needs_root: ClassVar[bool] = True
    volatile: ClassVar[bool] = True

    link: str
    name: str
    value: str

    def describe(self) -> str:
        return f"{self.link}: set {self.name} {self.value}"

    def capture(self, system: System) -> Json:
        """None: no such link."""
        with Kernel() as kernel:
            found = kernel.link(self.link)
        return _READ[self.name](found) if found else None

    def apply(self, system: System, report: Sink) -> None:
        self._set(self.value)

    def verify(self, system: System) -> None:
        if (found := self.capture(system)) != self.value:
            raise VerifyError(self.describe(), f"is {found}, expected {self.value}")

    def undo(self, system: System, before: Json) -> None:
        if before is not None and self.capture(system) is not None:
            self._set(str(before))

    def _set(self, value: str) -> None:
        with Kernel() as kernel:
            if kernel.link(self.link) is None:
                raise NotFoundError(f"{self.link}: no such link", hint="virtkit net show")
            kernel.transaction([_WRITE[self.name](self.link, value)])
