"""One knob of the whole host, wanted otherwise by different machines: the value is what all of them can live with."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from virtkit.host.advice.finding import Recommendation, Weighed

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from virtkit.host.advice.case import Case, Profile
    from virtkit.host.advice.finding import Finding
    from virtkit.host.listing import Row


@dataclass(frozen=True)
class Numbers:
    """Values of a numeric knob, from ``low`` to ``high``."""

    low: int
    high: int

    def __contains__(self, value: object) -> bool:
        return isinstance(value, str) and value.lstrip("-").isdecimal() and self.low <= int(value) <= self.high


class Stance(NamedTuple):
    """What one profile wants of a knob."""

    want: str
    why: str
    fine: Container[str] = ()  # as good: nothing needs to be done
    bearable: Container[str] = ()  # besides, where others want it

    def accepts(self, value: str) -> bool:
        return value == self.want or value in self.fine or value in self.bearable

    def content(self, value: str) -> bool:
        return value == self.want or value in self.fine


def weigh(
    case: Case, name: str, stances: Mapping[Profile, Stance], *, at: str = "", cost: str = "", by_hand: str = ""
) -> Iterator[Finding]:
    """For the knob at all of its places, or ``at`` one. A profile that is not in ``stances`` lives with any value."""
    asked = {profile: stances[profile] for profile in case.profiles if profile in stances}
    rows = [row for row in case.at(name) if asked and at in {"", row.setting.place}]
    told: set[str] = set()
    for row in rows:
        want, how = _settle(case, row, asked)
        if how and how not in told:
            told.add(how)
            yield Weighed(name, how)
        if want is not None and want != row.now:
            why = next(stance.why for stance in asked.values() if stance.want == want)
            yield Recommendation(row, want, why, cost, by_hand)


def _settle(case: Case, row: Row, asked: Mapping[Profile, Stance]) -> tuple[str | None, str]:
    """The value, or None: leave it; and how it was come by, where there was something to weigh."""
    here = {profile: stance for profile, stance in asked.items() if takes(row, stance.want)}
    if not here or all(stance.content(row.now) for stance in here.values()):
        return None, ""
    wants = [want for want, _ in Counter(stance.want for stance in here.values()).most_common()]
    common = [want for want in wants if all(stance.accepts(want) for stance in here.values())]
    if not case.chosen:
        bears = all(stance.accepts(row.now) for stance in here.values())
        return (None if bears or not common else common[0]), ""
    if len(wants) == 1:
        return wants[0], ""
    said = ", ".join(f"{profile} wants {stance.want}" for profile, stance in here.items())
    if common:
        return common[0], f"{said}: {common[0]}, which all of them can live with"
    first = next(iter(here))
    want = here[first].want
    return want, f"{said}: no value suits all; {first} loses most, so {want}"


def takes(row: Row, value: str) -> bool:
    """Whether a knob of words has this one on this kernel; of numbers, rules know the range."""
    words = row.legal.split(" | ")
    return len(words) == 1 or value in words or value.lstrip("-").isdecimal()
