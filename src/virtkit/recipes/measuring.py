"""``host bench``: what is borrowed, measured in turns, and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit import host
from virtkit.core import plugins
from virtkit.core.errors import NotSupportedError, UsageError
from virtkit.core.plan import Plan
from virtkit.core.progress import silent
from virtkit.host.actions import SetKnob
from virtkit.host.bench import trials
from virtkit.host.bench.pairs import take
from virtkit.host.bench.trial import Trial
from virtkit.host.bench.verdict import judge
from virtkit.host.kernel import Kernel
from virtkit.host.knob import Risk
from virtkit.host.registry import find, setting
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
    """With both sides: those that are asked for, else the first two that there are. UsageError, NotSupportedError."""
    if setup.knob:
        return _values(setup, system)
    sides = trial(what).sides(system, setup.directory)
    a = setup.a or sides[0]
    b = setup.b or next(side for side in sides if side != a)
    for side in (a, b):
        if side not in sides:
            raise UsageError(f"{what}: side is {side!r}, expected one of {', '.join(sides)}")
    if a == b:
        raise UsageError(f"{what}: both sides are {a}, expected two")
    return setup._replace(a=a, b=b)


def _values(setup: Setup, system: System) -> Setup:
    kernel = Kernel(system)
    found = find(kernel, setup.knob)
    if len(found) > 1:
        raise UsageError(
            f"{setup.knob}: has {len(found)} places, expected one",
            hint=f"virtkit host bench ... --knob {found[0].name}",
        )
    if (risk := found[0].knob.risk) is not Risk.SAFE:
        raise NotSupportedError(f"{setup.knob}: its risk is {risk}, expected {Risk.SAFE}: it is not changed to and fro")
    a, b = (found[0].accept(kernel, value) for value in (setup.a, setup.b))
    if a == b:
        raise UsageError(f"{setup.knob}: both values are {a}, expected two")
    return setup._replace(a=a, b=b, knob=found[0].name)


def loan(what: str, setup: Setup, system: System) -> Plan:
    """What of the host will be otherwise meanwhile; it is put back by ``measure``. NotSupportedError."""
    wishes = trial(what).borrows(system, _sides(what, setup, system))
    if setup.knob:
        present = setting(setup.knob).read(Kernel(system))
        wishes = {**wishes, setup.knob: setup.b if setup.a == present else setup.a}
    plan = host.set_knobs(system, wishes, persistent=False) if wishes else Plan("")
    note = "put back afterwards, whatever happens to this process"
    return Plan(f"bench {what}", plan.actions, (*plan.notes, note) if plan else ())


def _sides(what: str, setup: Setup, system: System) -> Setup:
    """What the trial itself has to be ready for."""
    if not setup.knob:
        return setup
    plain = trial(what).plain(system, setup.directory)
    return setup._replace(a=plain, b=plain)


def measure(what: str, setup: Setup, rounds: int, *, system: System, journal: Journal, report: Sink) -> Measured:
    """Errors as those of ``chosen``, ``loan`` and ``borrowed``, and SystemCallError where nothing can be measured."""
    kind = trial(what)
    setup = chosen(what, setup, system)
    ready = kind.ready(system, sides := _sides(what, setup, system))
    with borrowed(loan(what, setup, system), system, journal, report), ready as look:

        def turned(value: str) -> float:
            """The loan puts back what is done here; that a value counts is read back each time."""
            turn = SetKnob(setup.knob, value)
            turn.apply(system, silent)
            turn.verify(system)
            return look(sides.a)

        pairs = take(turned if setup.knob else look, setup.a, setup.b, rounds, report)
    return Measured(what, kind.unit, setup, pairs, judge(pairs))
