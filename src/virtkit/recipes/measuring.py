"""``host bench``: what is borrowed, measured in turns, and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit import host
from virtkit.core import plugins
from virtkit.core.errors import UsageError
from virtkit.core.plan import Plan
from virtkit.host.bench import trials
from virtkit.host.bench.pairs import take
from virtkit.host.bench.trial import Trial
from virtkit.host.bench.verdict import judge
from virtkit.recipes.loan import borrowed

if TYPE_CHECKING:
    from virtkit.core.journal import Journal
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.host.bench.trial import Setup
    from virtkit.host.bench.verdict import Pair, Verdict


class Measured(NamedTuple):
    what: str
    unit: str
    setup: Setup
    pairs: list[Pair]
    verdict: Verdict

    def data(self) -> dict[str, Json]:
        pairs: list[Json] = [list(pair) for pair in self.pairs]
        setup: dict[str, Json] = {**self.setup._asdict()}
        return {"what": self.what, "unit": self.unit, **setup, "measured": pairs, "verdict": self.verdict.data()}


def whats() -> list[str]:
    """All that can be measured."""
    return plugins.names(trials)


def trial(what: str) -> Trial:
    return plugins.load(trials, what, Trial, "TRIAL")


def chosen(what: str, setup: Setup, system: System) -> Setup:
    """With both sides: the two that are asked for, or the first two that there are. UsageError, NotSupportedError."""
    sides = trial(what).sides(system, setup.directory)
    a = setup.a or sides[0]
    b = setup.b or next(side for side in sides if side != a)
    for side in (a, b):
        if side not in sides:
            raise UsageError(f"{what}: side is {side!r}, expected one of {', '.join(sides)}")
    if a == b:
        raise UsageError(f"{what}: both sides are {a}, expected two")
    return setup._replace(a=a, b=b)


def loan(what: str, setup: Setup, system: System) -> Plan:
    """What of the host will be otherwise meanwhile; it is put back by ``measure``. NotSupportedError."""
    wishes = trial(what).borrows(system, setup)
    actions = host.set_knobs(system, wishes, persistent=False).actions if wishes else ()
    note = "put back afterwards, whatever happens to this process"
    return Plan(f"bench {what}", actions, (note,) if actions else ())


def measure(what: str, setup: Setup, rounds: int, *, system: System, journal: Journal, report: Sink) -> Measured:
    """Errors as those of ``chosen``, ``loan`` and ``borrowed``, and SystemCallError where nothing can be measured."""
    kind = trial(what)
    setup = chosen(what, setup, system)
    with borrowed(loan(what, setup, system), system, journal, report), kind.ready(system, setup) as look:
        pairs = take(look, setup.a, setup.b, rounds, report)
    return Measured(what, kind.unit, setup, pairs, judge(pairs))
