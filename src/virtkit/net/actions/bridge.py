"""A bridge is made, and taken away."""

from __future__ import annotations

from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import BusyError, ConflictError, VerifyError
from virtkit.core.plan import Action
from virtkit.net import diff, requests, standing
from virtkit.net.kernel import Kernel
from virtkit.net.model import OURS

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.requests import Request


class _Bridge(Action):
    """What making and deleting a bridge have in common: its state, and how to make it again."""

    needs_root: ClassVar[bool] = True

    name: str

    def capture(self, system: System) -> Json:
        """None: no such link."""
        with Kernel() as kernel:
            network = kernel.network()
        link = network.by_name.get(self.name)
        if link is None:
            return None
        return {
            "kind": link.kind,
            "mac": link.mac,
            "mtu": link.mtu,
            "up": link.up,
            "alias": link.alias,
            "ports": [port.name for port in network.ports(link)],
            "parameters": b64encode(link.bridge.raw if link.bridge else b"").decode(),
            "holds": standing.side_of(network, self.name).data(),
        }

    def fingerprint(self, state: Json) -> Json:
        """Without the alias: after a start of the host the files make the bridge, and have none."""
        if not isinstance(state, dict):
            return state
        holds = standing.load_side(state["holds"])
        facts: dict[str, Json] = {key: state[key] for key in ("kind", "mac", "mtu", "up", "ports")}
        return {**facts, "holds": [*holds.address_lines(), *holds.route_lines()]}


@dataclass(frozen=True)
class CreateBridge(_Bridge):
    """A bridge that forwards at once (no STP), is up, keeps its MAC and MTU, and is known as made by virtkit."""

    kind: ClassVar[str] = "net.create_bridge"
    volatile: ClassVar[bool] = True
    sign: ClassVar[str] = "+"

    name: str
    mac: str  # aa:bb:cc:dd:ee:ff; given, so that it does not change with the ports
    mtu: int = 1500  # bytes

    def describe(self) -> str:
        return f"{self.name}: create bridge (mac {self.mac}, mtu {self.mtu}, no STP)"

    def apply(self, system: System, report: Sink) -> None:
        with Kernel() as kernel:
            kernel.transaction([requests.create_bridge(self.name, self.mac)])
            kernel.transaction(_finishing(self.name, self.mtu))

    def verify(self, system: System) -> None:
        with Kernel() as kernel:
            link = kernel.link(self.name)
        found = (link.kind, link.mac, link.mtu, link.up, link.alias) if link else ()
        if found != (wanted := ("bridge", self.mac, self.mtu, True, OURS)):
            raise VerifyError(self.describe(), f"link is {found}, expected {wanted}")

    def undo(self, system: System, before: Json) -> None:
        with Kernel() as kernel:
            link = kernel.link(self.name)
            if link is None or before is not None:
                return
            made_anew = link.kind == "bridge" and not link.alias and link.mac == self.mac  # by a file; or half made
            if not link.ours and not made_anew:
                raise ConflictError(f"{self.name}: alias is {link.alias!r}, expected {OURS!r}: somebody else made it")
            kernel.transaction([requests.delete_link(self.name)])


@dataclass(frozen=True)
class DeleteBridge(_Bridge):
    kind: ClassVar[str] = "net.delete_bridge"
    volatile: ClassVar[bool] = True
    sign: ClassVar[str] = "-"

    name: str

    def describe(self) -> str:
        return f"{self.name}: delete bridge"

    def apply(self, system: System, report: Sink) -> None:
        with Kernel() as kernel:
            network = kernel.network()
            link = network.by_name.get(self.name)
            if link and (ports := network.ports(link)):
                raise BusyError(f"{self.name}: ports are {', '.join(p.name for p in ports)}, expected none")
            kernel.transaction([requests.delete_link(self.name)])

    def verify(self, system: System) -> None:
        with Kernel() as kernel:
            if kernel.link(self.name):
                raise VerifyError(self.describe(), f"{self.name} is still there")

    def undo(self, system: System, before: Json) -> None:
        if not isinstance(before, dict):
            return
        parameters = b64decode(str(before["parameters"]))
        with Kernel() as kernel:
            if not kernel.link(self.name):
                kernel.transaction([requests.create_bridge(self.name, str(before["mac"]), parameters)])
                alias, up = str(before["alias"]), before["up"] is True
                kernel.transaction(_finishing(self.name, int(str(before["mtu"])), alias=alias, up=up))
            network = kernel.network()
            now = standing.side_of(network, self.name)
            should = standing.load_side(before["holds"]).at(now.index)
            kernel.transaction(diff.filled(network, now, should))


def _finishing(name: str, mtu: int, *, alias: str = OURS, up: bool = True) -> list[Request]:
    """After the making and never with it: had that been refused, these would change a bridge of somebody else."""
    return [
        *([requests.set_alias(name, alias)] if alias else []),
        *requests.pin_mtu(name, mtu),
        *([requests.set_up(name)] if up else []),
    ]
