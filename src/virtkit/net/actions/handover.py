"""A port joins a bridge or leaves it, and what it holds moves with it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import ConflictError, NotFoundError, VerifyError
from virtkit.core.plan import Action
from virtkit.core.progress import Note
from virtkit.net import announcement, handover, standing
from virtkit.net.kernel import Kernel
from virtkit.net.machines import machines_of
from virtkit.net.model import LOWER_UP

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.model import Network
    from virtkit.net.standing import Side, Standing


@dataclass(frozen=True)
class _Handover(Action):
    """What joining and leaving a bridge have in common. The lines are those of Side: the plan was made for them."""

    needs_root: ClassVar[bool] = True

    port: str
    bridge: str
    addresses: list[str]
    routes: list[str]
    policy: list[str] = field(default_factory=list)  # rules and nexthop objects

    def capture(self, system: System) -> Json:
        with Kernel() as kernel:
            return self._standing(kernel.network()).data()

    def fingerprint(self, state: Json) -> Json:
        return standing.load(state).lines()

    def difference(self, left: Json, now: Json, system: System) -> str:
        """Ports that came: machines most of the time, which going back would cut off."""
        came = sorted(_lines(now, self.bridge) - _lines(left, self.bridge))
        with Kernel() as kernel:
            network = kernel.network()
        ports = [network.by_name[name] for name in came if name in network.by_name]
        if not ports:
            return ""
        machines = machines_of(system, ports)
        named = ", ".join(machines or [port.name for port in ports])
        away = (
            "virtkit vm attach MACHINE --network default"
            if machines
            else f"virtkit net bridge port remove {self.bridge} {came[0]}"
        )
        return f"{self.bridge} got {named}, which would lose the network; first: {away}"

    def undo(self, system: System, before: Json) -> None:
        earlier = standing.load(before)
        with Kernel() as kernel:
            now = self._standing(kernel.network())
            self._bring(system, kernel, earlier.resumed(now))

    def _bring(self, system: System, kernel: Kernel, should: Standing) -> None:
        handover.bring(kernel, should)
        announcement.send(system, kernel.network(), (self.port, self.bridge))

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
            ("rules and nexthops", giver.policy_lines(), self.policy),
        ):
            if found != planned:
                raise ConflictError(f"{giver.name}: {what} are {found}, expected {planned} as planned")
        return now

    def _shown(self, now: Standing, holder: Side, other: Side) -> None:
        """VerifyError unless ``holder`` has all that was planned, and ``other`` nothing."""
        for what, found, wanted in (
            (f"addresses of {holder.name}", holder.address_lines(), self.addresses),
            (f"routes of {holder.name}", holder.route_lines(), self.routes),
            (f"rules and nexthops of {holder.name}", holder.policy_lines(), self.policy),
        ):
            if missing := [line for line in wanted if line not in found]:
                raise VerifyError(self.describe(), f"{what} are {found}, expected {missing} too")
        if left := other.lines():
            raise VerifyError(self.describe(), f"{other.name} still has {left}, expected nothing")
        for side in (now.port, now.bridge):
            if not side.up:
                raise VerifyError(self.describe(), f"{side.name} is down, expected up")


@dataclass(frozen=True)
class JoinBridge(_Handover):
    """The port becomes the bridge's, and what it holds moves there in the same instant."""

    kind: ClassVar[str] = "net.join_bridge"
    volatile: ClassVar[bool] = True
    cuts_off: ClassVar[bool] = True

    def describe(self) -> str:
        moving = _counted(self)
        return f"{self.bridge}: take {self.port} as port" + (f", with its {moving}" if moving else "")

    def apply(self, system: System, report: Sink) -> None:
        with Kernel() as kernel:
            self._bring(system, kernel, self._expect(kernel.network()).bridged())
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
    volatile: ClassVar[bool] = True
    cuts_off: ClassVar[bool] = True

    def describe(self) -> str:
        moving = _counted(self)
        return f"{self.bridge}: give up {self.port}" + (f", with the {moving}" if moving else "")

    def apply(self, system: System, report: Sink) -> None:
        with Kernel() as kernel:
            self._bring(system, kernel, self._expect(kernel.network()).released())

    def verify(self, system: System) -> None:
        with Kernel() as kernel:
            now = self._standing(kernel.network())
        if now.port.master:
            raise VerifyError(self.describe(), f"master of {self.port} is {now.port.master}, expected none")
        self._shown(now, now.port, now.bridge)

    def _giver(self, now: Standing) -> Side:
        return now.bridge


def _lines(state: Json, link: str) -> set[str]:
    lines = state.get(link) if isinstance(state, dict) else None
    return {str(line) for line in lines} if isinstance(lines, list) else set()


def _counted(moved: _Handover) -> str:
    counts = [
        (len(moved.addresses), "address", "addresses"),
        (len(moved.routes), "route", "routes"),
        (len(moved.policy), "policy rule or nexthop", "policy rules and nexthops"),
    ]
    said = [f"{count} {one if count == 1 else many}" for count, one, many in counts if count]
    return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)
