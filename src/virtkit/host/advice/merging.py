"""Whether KSM is to save memory on this host: for several rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.host.advice.case import Profile

if TYPE_CHECKING:
    from virtkit.host.advice.case import Case

FAST = (Profile.REALTIME, Profile.DATABASE)  # they lose more by the huge pages that KSM splits than it saves
_TWINS = 2  # machines, at least


def merges(case: Case) -> bool:
    return not refused(case) and case.short_of_memory and len(case.running) >= _TWINS and case.chosen


def refused(case: Case) -> str:
    """Why it must not; empty: it may."""
    if case.untrusted:
        return "a guest can tell by the time that a write takes whether another guest has the same page"
    if case.suits(*FAST):
        names = " and ".join(profile for profile in FAST if profile in case.profiles)
        return f"{names} machines lose the huge pages that KSM splits, and its CPU time"
    return ""
