"""What a rule says about a machine's definition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from virtkit.host.advice.finding import Confidence, confidence
from virtkit.vm.difference import changes, lines
from virtkit.vm.domain import Domain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.plan import Json
    from virtkit.host.advice.case import Case, Guest, Profile
    from virtkit.host.knob import Evidence


class View(NamedTuple):
    """A machine, as its rules are asked about it."""

    guest: Guest
    domain: Domain  # of its next start
    direct: Mapping[str, bool]  # disk's target -> whether its storage takes O_DIRECT
    case: Case  # the host
    qemu: tuple[int, int]  # major, minor

    def suits(self, *profiles: Profile) -> bool:
        return self.guest.profile in profiles


class Wish(NamedTuple):
    what: str  # "disk vda"
    now: str
    want: str
    why: str
    evidence: tuple[Evidence, ...]
    edit: Callable[[Domain], None] | None  # None: more than the definition hangs on it
    typed: str  # the command
    cost: str = ""
    by_hand: str = ""  # why virtkit does not do it unasked

    @property
    def confidence(self) -> Confidence:
        return confidence(self.evidence)


Rule: TypeAlias = Callable[[View], Iterator[Wish]]


class MachineAdvice(NamedTuple):
    """One wish for one machine, and what it does to the definition."""

    name: str
    active: bool
    wish: Wish
    fields: tuple[str, ...]  # "disk[vda]/driver@cache: writethrough -> none"
    xml: tuple[str, ...]  # lines of the difference

    @classmethod
    def of(cls, view: View, wish: Wish) -> MachineAdvice:
        wanted = Domain.parse(view.domain.text())
        if wish.edit:
            wish.edit(wanted)
        changed = tuple(map(str, changes(view.domain.node, wanted.node)))
        difference = tuple(lines(view.domain.node, wanted.node))
        return cls(view.guest.name, view.guest.active, wish, changed, difference)

    def data(self) -> dict[str, Json]:
        wish = self.wish
        return {
            "machine": self.name,
            "what": wish.what,
            "now": wish.now,
            "want": wish.want,
            "why": wish.why,
            "cost": wish.cost,
            "needs": "VM restart" if self.active else "nothing",
            "reason": wish.by_hand,
            "type": wish.typed,
            "confidence": wish.confidence.value,
            "evidence": [evidence._asdict() for evidence in wish.evidence],
            "changes": list(self.fields),
            "xml": list(self.xml),
        }
