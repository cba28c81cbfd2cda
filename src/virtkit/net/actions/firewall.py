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


@dataclass(frozen=True)
class AcceptBridged(Action):
    """One rule, the first of ``chain``: what comes in and goes out by ``bridge`` is accepted. Nothing else changes."""

    kind: ClassVar[str] = "net.accept_bridged"
    sign: ClassVar[str] = "+"
    volatile: ClassVar[bool] = True

    program: str  # iptables, ip6tables, or their -legacy twins
    chain: str
    bridge: str

    def describe(self) -> str:
        return f"{self.bridge}: accept what is bridged, by a rule of {self.program} in {self.chain}"

    def capture(self, system: System) -> Json:
        """How many such rules there are: those that another program made stay."""
        listed = system.run([self.program, "-w", "5", "-S", self.chain]).stdout.splitlines()
        wanted = firewall.listed(self.chain, self.bridge)
        return sum(line == wanted for line in listed)

    def apply(self, system: System, report: Sink) -> None:
        system.run(firewall.accept(self.program, self.chain, self.bridge))

    def verify(self, system: System) -> None:
        if not self.capture(system):
            raise VerifyError(self.describe(), "the rule is not listed")

    def undo(self, system: System, before: Json) -> None:
        while int(str(self.capture(system))) > int(str(before)):
            system.run(firewall.accept(self.program, self.chain, self.bridge, remove=True))
