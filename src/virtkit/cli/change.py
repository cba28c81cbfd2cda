"""From a plan to a change: show it, ask, run it, say how to take it back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli.options import PLAN_HAS_CHANGES
from virtkit.core.engine import run
from virtkit.core.errors import UsageError
from virtkit.core.journal import Journal
from virtkit.core.system import System

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console
    from virtkit.core.plan import Plan

DECLINED = 1  # exit status: the answer was no


def carry_out(plan: Plan, args: argparse.Namespace, console: Console, *, origin: str = "", ask: bool = True) -> int:
    """Honours ``--plan`` and ``-y``. Set ``ask`` to False where the verb alone says all (start, stop)."""
    if args.plan:
        console.plan(plan)
        return PLAN_HAS_CHANGES if plan else 0
    if not plan:
        _say(console, plan, None)
        return 0
    if (
        ask
        and not args.yes
        and not agreed(plan.title, [*plan.lines(), *(f"note: {note}" for note in plan.notes)], console)
    ):
        return DECLINED
    with console.progress() as report:
        number = run(plan, System(), Journal.default(), report, origin=origin)
    _say(console, plan, number)
    return 0


def agreed(title: str, lines: list[str], console: Console) -> bool:
    """Show what will be done and ask; UsageError if there is nobody to ask."""
    for line in (f"{title}:", *(f"  {line}" for line in lines)):
        console.note(line)
    if not console.can_ask():
        raise UsageError(
            "no terminal to ask on, and nothing was changed", hint="add -y to go ahead, --plan to look only"
        )
    if console.ask("Go ahead?"):
        return True
    console.note("nothing was changed")
    return False


def _say(console: Console, plan: Plan, number: int | None) -> None:
    if console.json:
        console.data({**plan.data(), "changed": number is not None, "change": number})
    elif number is None:
        console.line(f"✓ {plan.title}: nothing to change")
    else:
        console.line(f"✓ {plan.title}: done (change {number}; to take it back: virtkit undo {number})")
