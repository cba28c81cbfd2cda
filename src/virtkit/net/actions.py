"""What can be done to this host's network, each step with its way back."""

from __future__ import annotations

from abc import abstractmethod
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import BusyError, ConflictError, NotFoundError, VerifyError
from virtkit.core.plan import Action
from virtkit.core.progress import Note
from virtkit.net import diff, handover, requests, standing
from virtkit.net.kernel import Kernel
from virtkit.net.model import LOWER_UP, OURS

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.model import Network
    from virtkit.net.requests import Request
    from virtkit.net.standing import Side, Standing


class _Bridge(Action):
    """What making and deleting a bridge have in common: its state, and how to make it again."""

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
        if not isinstance(state, dict):
            return state
        holds = standing.load_side(state["holds"])
        facts: dict[str, Json] = {key: state[key] for key in ("kind", "mac", "mtu", "up", "alias", "ports")}
        return {**facts, "holds": [*holds.address_lines(), *holds.route_lines()]}


@dataclass(frozen=True)
class CreateBridge(_Bridge):
    """A bridge that forwards at once (no STP), is up, keeps its MAC and MTU, and is known as made by virtkit."""

    kind: ClassVar[str] = "net.create_bridge"
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
            half_made = link.kind == "bridge" and not link.alias and link.mac == self.mac
            if not link.ours and not half_made:
                raise ConflictError(f"{self.name}: alias is {link.alias!r}, expected {OURS!r}: somebody else made it")
            kernel.transaction([requests.delete_link(self.name)])


@dataclass(frozen=True)
class DeleteBridge(_Bridge):
    kind: ClassVar[str] = "net.delete_bridge"
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


@dataclass(frozen=True)
class _Handover(Action):
    """What joining and leaving a bridge have in common. The lines are those of Side: the plan was made for them."""

    port: str
    bridge: str
    addresses: list[str]
    routes: list[str]

    def capture(self, system: System) -> Json:
        with Kernel() as kernel:
            return self._standing(kernel.network()).data()

    def fingerprint(self, state: Json) -> Json:
        return standing.load(state).lines()

    def undo(self, system: System, before: Json) -> None:
        earlier = standing.load(before)
        with Kernel() as kernel:
            now = self._standing(kernel.network())
            handover.bring(kernel, earlier.resumed(now))

    @abstractmethod
    def _giver(self, now: Standing) -> Side:
        """The side that holds what is to be moved."""

    def _standing(self, network: Network) -> Standing:
        return standing.read(network, self.port, self.bridge)

    def _expect(self, network: Network) -> Standing:
        """The plan was made for what was there then; a different host is not touched."""
        now = self._standing(network)
        for side in (now.port, now.bridge):
            if not side.index:
                raise NotFoundError(f"{side.name}: no such link")
        giver = self._giver(now)
        for what, found, planned in (
            ("addresses", giver.address_lines(), self.addresses),
            ("routes", giver.route_lines(), self.routes),
        ):
            if found != planned:
                raise ConflictError(f"{giver.name}: {what} are {found}, expected {planned} as planned")
        return now

    def _shown(self, now: Standing, holder: Side, other: Side) -> None:
        """VerifyError unless ``holder`` has all that was planned, and ``other`` nothing."""
        for what, found, wanted in (
            (f"addresses of {holder.name}", holder.address_lines(), self.addresses),
            (f"routes of {holder.name}", holder.route_lines(), self.routes),
        ):
            if missing := [line for line in wanted if line not in found]:
                raise VerifyError(self.describe(), f"{what} are {found}, expected {missing} too")
        if left := [*other.address_lines(), *other.route_lines()]:
            raise VerifyError(self.describe(), f"{other.name} still has {left}, expected nothing")
        for side in (now.port, now.bridge):
            if not side.up:
                raise VerifyError(self.describe(), f"{side.name} is down, expected up")


@dataclass(frozen=True)
class JoinBridge(_Handover):
    """The port becomes the bridge's, and what it holds moves there in the same instant."""

    kind: ClassVar[str] = "net.join_bridge"

    def describe(self) -> str:
        moving = _counted(self.addresses, self.routes)
        return f"{self.bridge}: take {self.port} as port" + (f", with its {moving}" if moving else "")

    def apply(self, system: System, report: Sink) -> None:
        with Kernel() as kernel:
            handover.bring(kernel, self._expect(kernel.network()).bridged())
            link = kernel.link(self.port)
        if link and not link.flags & LOWER_UP:
            report(Note(self.describe(), f"{self.port} has no carrier yet"))

    def verify(self, system: System) -> None:
        with Kernel() as kernel:
            now = self._standing(kernel.network())
        if not now.joined:
            raise VerifyError(self.describe(), f"master of {self.port} is {now.port.master or 'none'}")
        self._shown(now, now.bridge, now.port)

    def _giver(self, now: Standing) -> Side:
        return now.port


@dataclass(frozen=True)
class LeaveBridge(_Handover):
    """The port stands alone again, and what the bridge holds moves to it in the same instant."""

    kind: ClassVar[str] = "net.leave_bridge"

    def describe(self) -> str:
        moving = _counted(self.addresses, self.routes)
        return f"{self.bridge}: give up {self.port}" + (f", with the {moving}" if moving else "")

    def apply(self, system: System, report: Sink) -> None:
        with Kernel() as kernel:
            handover.bring(kernel, self._expect(kernel.network()).released())

    def verify(self, system: System) -> None:
        with Kernel() as kernel:
            now = self._standing(kernel.network())
        if now.port.master:
            raise VerifyError(self.describe(), f"master of {self.port} is {now.port.master}, expected none")
        self._shown(now, now.port, now.bridge)

    def _giver(self, now: Standing) -> Side:
        return now.bridge


def _finishing(name: str, mtu: int, *, alias: str = OURS, up: bool = True) -> list[Request]:
    """After the making and never with it: had that been refused, these would change a bridge of somebody else."""
    return [
        *([requests.set_alias(name, alias)] if alias else []),
        *requests.pin_mtu(name, mtu),
        *([requests.set_up(name)] if up else []),
    ]


def _counted(addresses: list[str], routes: list[str]) -> str:
    counts = [(len(addresses), "address", "addresses"), (len(routes), "route", "routes")]
    return " and ".join(f"{count} {one if count == 1 else many}" for count, one, many in counts if count)
