"""A bridge's own traffic passes the host's packet filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.net import firewall

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.firewall.rules import Program


@dataclass(frozen=True)
class AcceptBridged(Action):
    """One rule, the first of ``chain``: what comes in and goes out by ``bridge`` is accepted. Nothing else changes."""

    kind: ClassVar[str] = "net.accept_bridged"
    needs_root: ClassVar[bool] = True
    sign: ClassVar[str] = "+"
    volatile: ClassVar[bool] = True

    program: str  # iptables, ip6tables, their -legacy twins, or nft
    chain: str  # as the program takes it: ``DOCKER-USER``, ``inet filter forward``
    bridge: str

    def describe(self) -> str:
        return f"{self.bridge}: accept what is bridged, by a rule of {self.program} in {self.chain}"

    def capture(self, system: System) -> Json:
        """How many such rules there are: those that another program made stay. None: there is no such chain."""
        return self._program.count(system, self.chain, self.bridge)

    def apply(self, system: System, report: Sink) -> None:
        self._program.put(system, self.chain, self.bridge)

    def verify(self, system: System) -> None:
        if not self.capture(system):
            raise VerifyError(self.describe(), "the rule is not listed")

    def undo(self, system: System, before: Json) -> None:
        for _ in range(int(str(self.capture(system) or 0)) - int(str(before or 0))):
            self._program.take(system, self.chain, self.bridge)

    @property
    def _program(self) -> Program:
        return firewall.program(self.program)
