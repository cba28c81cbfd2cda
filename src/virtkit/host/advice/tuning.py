"""From advice to one plan: what can be done while machines run, the least risky first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import VirtkitError
from virtkit.core.plan import Plan
from virtkit.host.advice.finding import Need
from virtkit.host.tuning import set_knobs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.host.advice.advising import Advice
    from virtkit.host.advice.finding import Recommendation

    Wish = tuple[str, str]  # a setting's name and its value


def plan(system: System, advice: Advice) -> Plan:
    """Empty where all is so already. What it leaves is in its notes, each with its reason and what to type."""
    asked = [(each.name, each.want) for each in sorted(advice.needing(Need.NOTHING), key=_risk)]
    wishes, faults = _possible(system, asked)
    made = set_knobs(system, dict(wishes)) if wishes else Plan("")
    left = (f"left as it is: {fault.message}" + (f"; {fault.hint}" if fault.hint else "") for fault in faults)
    weighed = (f"{each.between}: {each.settled}" for each in advice.weighed)
    return Plan(_title(advice), made.actions, (*made.notes, *left, *weighed, *_later(advice.recommendations)))


def _possible(system: System, asked: Sequence[Wish]) -> tuple[Sequence[Wish], list[VirtkitError]]:
    """Those that can be set, and why the others cannot: looked for by halves, for mostly all of them can."""
    try:
        set_knobs(system, dict(asked))
    except VirtkitError as error:
        if len(asked) == 1:
            return (), [error]
        middle = len(asked) // 2
        (first, faults), (second, more) = (_possible(system, half) for half in (asked[:middle], asked[middle:]))
        return (*first, *second), faults + more
    return asked, []


def _risk(each: Recommendation) -> tuple[bool, bool]:
    """What takes memory comes last, after what costs something."""
    return each.row.setting.knob.family == "hugetlb", bool(each.cost)


def _title(advice: Advice) -> str:
    profiles = ", ".join(advice.case.profiles) if advice.case.chosen else "any"
    return f"tune this host for {profiles} machines"


def _later(recommendations: Iterable[Recommendation]) -> Iterator[str]:
    for need, said in (
        (Need.RESTART, "with machines off"),
        (Need.REBOOT, "for a reboot"),
        (Need.PERSON, "yours to decide"),
    ):
        for each in recommendations:
            if each.needs is need:
                yield f"{said}: {each.name}: {each.row.now or 'none'} -> {each.want}: {each.reason}; {each.typed}"
