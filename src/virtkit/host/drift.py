"""Whether the host still is as the last changes that are in force left it: now, and at the next boot."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.change import Status
from virtkit.core.errors import NotFoundError
from virtkit.host.actions import PersistKnobs, RunKsm, SetKnob
from virtkit.host.keeping import Keeping
from virtkit.host.kernel import Kernel
from virtkit.host.registry import rival, setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.change import Change
    from virtkit.core.journal import Journal
    from virtkit.core.plan import Action, Json
    from virtkit.core.system import System
    from virtkit.host.keeping import Kept


class Wanted(NamedTuple):
    """None: nobody asked for it there."""

    now: str | None = None
    at_boot: str | None = None
    change: int = 0  # the last one that set it


class Verdict(NamedTuple):
    """A setting in three columns. ``drift`` names what is not as wanted, a line each; ``note`` is no fault."""

    name: str
    now: str | None
    kept: Kept | None
    wanted: Wanted
    drift: tuple[str, ...]
    note: str = ""

    def data(self) -> dict[str, Json]:
        return {
            "name": self.name,
            "now": self.now,
            "persistent": self.kept and {"value": self.kept.value, "kind": self.kept.kind, "where": self.kept.where},
            "wanted": {"now": self.wanted.now, "persistent": self.wanted.at_boot, "change": self.wanted.change},
            "drift": list(self.drift),
            "note": self.note,
        }


def verify(system: System, journal: Journal) -> list[Verdict]:
    """Every setting that a committed change set which nobody has undone, in the order in which they were first set."""
    kernel = Kernel(system)
    keeping = Keeping(kernel)
    found = (_verdict(name, wanted, kernel, keeping) for name, wanted in wishes(journal).items())
    return [verdict for verdict in found if verdict]


def wishes(journal: Journal) -> dict[str, Wanted]:
    """What was set while another boot ran is wanted now only if it was to be kept; of rivals the last one is wanted."""
    found: dict[str, Wanted] = {}
    for change in journal.changes():
        for action in _in_force(change):
            for name, wanted in _wanted(action, change, found):
                found.pop(_rival(name), None)
                found[name] = wanted
    return {name: wanted for name, wanted in found.items() if wanted[:2] != (None, None)}


def _wanted(action: Action, change: Change, found: dict[str, Wanted]) -> Iterator[tuple[str, Wanted]]:
    if isinstance(action, SetKnob):
        old = found.get(action.name, Wanted())
        yield action.name, old._replace(now=None if change.other_boot else action.value, change=change.number)
    elif isinstance(action, PersistKnobs):
        for name, value in action.values.items():
            now = value if change.other_boot else found.get(name, Wanted()).now
            yield name, Wanted(now, value, change.number)


def _rival(name: str) -> str:
    """Nothing for a knob that has none, or that this version of virtkit does not know."""
    try:
        here = setting(name)
    except NotFoundError:
        return ""
    return rival(here).name if here.knob.rival else ""


def _in_force(change: Change) -> Iterator[Action]:
    for step in change.steps if change.committed else ():
        if step.status is Status.DONE and step.kind in {SetKnob.kind, RunKsm.kind, PersistKnobs.kind}:
            yield step.action()


def _verdict(name: str, wanted: Wanted, kernel: Kernel, keeping: Keeping) -> Verdict | None:
    try:
        here = setting(name)
    except NotFoundError:  # set by another version of virtkit
        return None
    now, kept = here.read(kernel), keeping.winner(here)
    if now is None:
        return Verdict(name, None, kept, wanted, (), "not here any more")
    drift = []
    if wanted.now is not None and now != wanted.now:
        drift.append(f"is {now} now, wanted {wanted.now}")
    elif wanted.now is not None and not here.knob.counter and not here.reached(kernel, wanted.now):
        drift.append(f"is set to {now}, and in effect is {here.counts(kernel)}")
    if wanted.at_boot is not None and (kept is None or kept.value != wanted.at_boot):
        found = f"{kept.where} sets {kept.value}" if kept else "no file sets it"
        drift.append(f"{found} at boot, wanted {wanted.at_boot}")
    waits = wanted.now is None and now != wanted.at_boot
    return Verdict(name, now, kept, wanted, tuple(drift), "waits for the next boot" if waits else "")
