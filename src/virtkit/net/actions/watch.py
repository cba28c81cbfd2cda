"""What works before a move has to work after it, and nobody else may work on the same links meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from virtkit.core import deadman
from virtkit.net import probes, races, standing
from virtkit.net.kernel import Kernel

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.system import System


@dataclass(frozen=True)
class Watch(deadman.Watch):
    """Asks what answered before the move, over whichever of the two links the way leads then."""

    kind: ClassVar[str] = "net.watch"
    patience: ClassVar[float] = 1.8  # seconds: five questions without an answer, and all is back within three

    port: str
    bridge: str
    joins: bool  # False: the port leaves the bridge
    addresses: list[str]  # what moves, as the lines of Side
    routes: list[str]
    policy: list[str]  # rules and nexthop objects
    probes: list[str]  # as Probe.line
    silence: float = 0.0  # seconds that nothing answers after the move, because a spanning tree protocol is on

    def describe(self) -> str:
        watched = ", ".join(probe.describe() for probe in map(probes.load, self.probes))
        alone = f"that nobody else changes {' and '.join(dict.fromkeys((self.port, self.bridge)))}"
        said = f"watch {watched}, and {alone}" if watched else f"watch {alone}"
        return f"{said}; {self.silence:g} s of silence are no loss" if self.silence else said

    def bears(self) -> float:
        return self.patience + self.silence

    def capture(self, system: System) -> Json:
        """By probe's line what it said; only those that work."""
        answers = probes.ask([probes.load(line) for line in self.probes])
        return {line: answer.said for line, answer in zip(self.probes, answers, strict=True) if answer.well}

    def watched(self, before: Json) -> list[str]:
        return [probe.describe() for probe in _loaded(before)]

    def lost(self, system: System, before: Json) -> list[str]:
        culprits = self._culprits  # listens from here on, so that what is read next is no older
        with Kernel() as kernel:
            network = kernel.network()
        culprits.listen(system)
        now = standing.read(network, self.port, self.bridge)
        found = races.strays(now, joins=self.joins, addresses=self.addresses, routes=self.routes, policy=self.policy)
        answers = probes.ask(_loaded(before), network)
        return [
            *(stray.said + culprits.who(system, stray) for stray in found),
            *(answer.said for answer in answers if answer.well is False),
        ]

    @cached_property
    def _culprits(self) -> races.Culprits:
        return races.Culprits()


def _loaded(before: Json) -> list[probes.Probe]:
    return [probes.load(line) for line in before] if isinstance(before, dict) else []
