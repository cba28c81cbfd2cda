"""What a rule says: set a knob otherwise, or how two wishes were weighed."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from virtkit.host.knob import Risk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from virtkit.core.plan import Json
    from virtkit.host.advice.case import Case
    from virtkit.host.knob import Evidence
    from virtkit.host.listing import Row

_MEASURED = "measured"


class Confidence(StrEnum):
    """The best that the evidence has."""

    MEASURED = "measured"  # by us, with figures and their conditions
    FIGURES = "figures"  # somebody else's
    DOCUMENT = "document"  # the kernel's, libvirt's or a vendor's word


def confidence(proof: Sequence[Evidence]) -> Confidence:
    """What has no figure is somebody's word, and be it ours."""
    figures = [evidence for evidence in proof if any(map(str.isdigit, evidence.figure))]
    if any(evidence.source == _MEASURED for evidence in figures):
        return Confidence.MEASURED
    return Confidence.FIGURES if figures else Confidence.DOCUMENT


class Need(StrEnum):
    """What it takes until the wanted value counts."""

    NOTHING = "nothing"  # ``tune`` does it while machines run
    RESTART = "VM restart"
    REBOOT = "reboot"
    PERSON = "a decision"  # advice only, whatever happens


class Recommendation(NamedTuple):
    row: Row  # the knob at one place, as it is now
    want: str
    why: str  # for these machines on this host; what the knob does in general, the knob says itself
    cost: str = ""  # what is lost by it
    by_hand: str = ""  # why virtkit does not do it unasked
    evidence: tuple[Evidence, ...] = ()  # empty: the knob's own

    @property
    def name(self) -> str:
        return self.row.setting.name

    @property
    def proof(self) -> tuple[Evidence, ...]:
        return self.evidence or self.row.setting.knob.evidence

    @property
    def confidence(self) -> Confidence:
        return confidence(self.proof)

    @property
    def needs(self) -> Need:
        knob = self.row.setting.knob
        if self.by_hand or knob.risk in {Risk.SECURITY, Risk.DATA}:
            return Need.PERSON
        if knob.risk is Risk.REBOOT or not self.row.writable:
            return Need.REBOOT
        return Need.RESTART if knob.risk is Risk.RESTART else Need.NOTHING

    @property
    def reason(self) -> str:
        """Why ``tune`` leaves it; empty: it does it."""
        return self.by_hand or _LEFT[self.row.setting.knob.risk if self.needs is Need.PERSON else self.needs]

    @property
    def typed(self) -> str:
        """The command that sets it."""
        later = "--persistent " if self.needs is Need.REBOOT else ""
        return f"virtkit host set {later}{self.name}={self.want}"

    def data(self) -> dict[str, Json]:
        knob = self.row.setting.knob
        return {
            "knob": knob.name,
            "place": self.row.setting.place,
            "now": self.row.now,
            "want": self.want,
            "why": self.why,
            "cost": self.cost,
            "risk": knob.risk.value,
            "needs": self.needs.value,
            "reason": self.reason,
            "type": self.typed,
            "confidence": self.confidence.value,
            "evidence": [evidence._asdict() for evidence in self.proof],
        }


_LEFT: Mapping[Risk | Need, str] = {
    Need.NOTHING: "",
    Need.RESTART: "machines have to be off for it",
    Need.REBOOT: "counts from the next boot on",
    Risk.SECURITY: "it moves a guard between machines: a person decides that",
    Risk.DATA: "it can lose what was written: a person decides that",
}


class Weighed(NamedTuple):
    """Two wishes that do not go together."""

    between: str  # "KSM against huge pages"
    settled: str  # what was done about it, and why
    evidence: tuple[Evidence, ...] = ()

    def data(self) -> dict[str, Json]:
        evidence: list[Json] = [evidence._asdict() for evidence in self.evidence]
        return {"between": self.between, "settled": self.settled, "evidence": evidence}


Finding: TypeAlias = Recommendation | Weighed

if TYPE_CHECKING:
    Rule: TypeAlias = Callable[[Case], Iterator[Finding]]
