"""A packet filter, as far as it says what becomes of the first packet that comes in and goes out by one bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from virtkit.core.system import System

ACCEPT, DROP, RETURN = "accept", "drop", "return"


class Way(NamedTuple):
    """A condition on the link that a packet comes in or goes out by: for what is bridged, the bridge is both."""

    links: tuple[str, ...]  # names; one that ends in ``*`` is the beginning of many
    negated: bool = False

    def fits(self, bridge: str) -> bool:
        named = any(bridge.startswith(name[:-1]) if name.endswith("*") else name == bridge for name in self.links)
        return named != self.negated


class Rule(NamedTuple):
    ways: tuple[Way, ...]
    others: bool  # it has other conditions, which not everything fulfils that guests send: it decides nothing here
    verdict: str  # accept, drop (or reject), return; empty: none, or the next one's
    chain: str = ""  # where it goes on
    final: bool = False  # and does not come back (goto)

    def fits(self, bridge: str) -> bool:
        return not self.others and all(way.fits(bridge) for way in self.ways)


@dataclass(frozen=True)
class Filter:
    """A chain of the hook ``forward``, with those that it leads to."""

    program: str  # that lists and changes these rules
    name: str  # of the chain, as the program takes it: ``FORWARD``, ``inet filter forward``
    families: tuple[int, ...]  # IPV4, IPV6 or both
    chains: Mapping[str, Sequence[Rule]]
    start: str  # the chain's key among them
    policy: str  # accept or drop
    place: str  # the chain for a rule of the administrator's, as the program takes it
    maker: str = ""  # ``Docker``, ``firewalld``; empty: unknown

    def drops(self, bridge: str) -> bool:
        return (self._fate(self.start, bridge) or self.policy) == DROP

    def _fate(self, chain: str, bridge: str) -> str:
        """Empty where the chain comes to its end, or returns."""
        for rule in self.chains.get(chain, ()):
            if not rule.fits(bridge):
                continue
            if rule.verdict:
                return "" if rule.verdict == RETURN else rule.verdict
            fate = self._fate(rule.chain, bridge) if rule.chain else ""
            if fate or rule.final:
                return fate
        return ""


class Program(Protocol):
    """One that lists and changes rules. ``place`` is a filter's, and the rule accepts what ``bridge`` forwards."""

    def filters(self, system: System) -> list[Filter]:
        """Nothing where it is not installed, or the kernel has nothing for it."""

    def count(self, system: System, place: str, bridge: str) -> int | None:
        """How many such rules of virtkit's there are; None where there is no such chain."""

    def put(self, system: System, place: str, bridge: str) -> None:
        """The rule stands first."""

    def take(self, system: System, place: str, bridge: str) -> None:
        """One of them goes."""
