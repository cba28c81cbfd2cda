"""The host and its machines, looked at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit import host
from virtkit.recipes.advice import guests

if TYPE_CHECKING:
    from collections.abc import Mapping

    from virtkit.core.plan import Json
    from virtkit.core.system import System
    from virtkit.host.advice.advising import Advice
    from virtkit.host.advice.case import Profile


class Question(NamedTuple):
    """What the host is for."""

    profile: Profile | None = None  # of the host, and of machines that nobody named
    machines: Mapping[str, Profile] = {}
    untrusted: bool = False  # tenants that do not trust each other


class Diagnosis(NamedTuple):
    advice: Advice
    notes: tuple[str, ...]

    @property
    def tuned(self) -> bool:
        return self.advice.tuned

    def data(self) -> dict[str, Json]:
        return {**self.advice.data(), "notes": list(self.notes), "tuned": self.tuned}


def diagnose(question: Question, system: System, *, recorded: bool = False) -> Diagnosis:
    """UsageError for a machine that is not there."""
    facts = host.facts(system)
    known, unasked = guests.known(facts, recorded=recorded)
    named = tuple(guests.assigned((guest for guest, _ in known), question.machines, question.profile))
    profiles = [question.profile] if question.profile else []
    advice = host.advise(system, named, profiles, untrusted=question.untrusted, picture=facts)
    tuners = (
        f"{tuner.name} runs{f' with profile {tuner.profile}' if tuner.profile else ''} and sets {tuner.sets}"
        for tuner in facts.tuners
    )
    return Diagnosis(advice, (*filter(None, [unasked]), *tuners))
