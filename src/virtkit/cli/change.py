"""From a plan to a change: show it, ask, run it, say how to take it back."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING

from virtkit.cli.agreement import DECLINED, agreed
from virtkit.cli.options import PLAN_HAS_CHANGES
from virtkit.cli.waiting import at_terminal
from virtkit.core.deadman import Confirm
from virtkit.core.engine import refuse_others, run
from virtkit.core.journal import Journal
from virtkit.core.system import System, is_root

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from virtkit.cli.show import Console
    from virtkit.core.plan import Json, Plan


def carry_out(
    plan: Plan,
    args: argparse.Namespace,
    console: Console,
    *,
    origin: str = "",
    ask: bool = True,
    told: Callable[[], dict[str, Json]] = dict,
    details: bool = False,
) -> int:
    """Honours ``--plan`` and ``-y``. Set ``ask`` to False where the verb alone says all (start, stop).

    ``told`` says what JSON has besides, changed or not. ``details``: the differences are shown before anything
    changes, with ``-y``, too.
    """
    if args.plan:
        roots = () if is_root() or not plan.reserved else (f"needs root: {_as_root(args)}",)
        console.plan(replace(plan, notes=(*plan.notes, *roots)))
        return PLAN_HAS_CHANGES if plan else 0
    if not plan:
        _say(console, plan, None, told)
        return 0
    refuse_others(plan, _as_root(args))
    shown = [*_lines(plan, details=details), *(f"note: {note}" for note in plan.notes)]
    if ask and not args.yes:
        if not agreed(plan.title, shown, console):
            return DECLINED
    elif details and not console.json:
        console.lines(shown)
    waits = any(isinstance(action, Confirm) for action in plan.actions)
    with console.progress(waits=waits) as report:
        number = run(plan, System(), Journal.default(), report, origin=origin, asked=at_terminal())
    _say(console, plan, number, told)
    return 0


def _as_root(args: argparse.Namespace) -> str:
    """The same command, for who may."""
    return shlex.join(["sudo", "virtkit", *(word for word in args.typed if word not in ("--plan", "--dry-run"))])


def _lines(plan: Plan, *, details: bool) -> list[str]:
    return [
        line
        for text, action in zip(plan.lines(), plan.actions, strict=True)
        for line in (text, *(f"    {detail}" for detail in (action.details() if details else ())))
    ]


def _say(console: Console, plan: Plan, number: int | None, told: Callable[[], dict[str, Json]] = dict) -> None:
    if console.json:
        console.data({**plan.data(), "changed": number is not None, "change": number, **told()})
    elif number is None:
        console.line(f"✓ {plan.title}: nothing to change")
    else:
        back = "nothing takes it back" if plan.final else f"to take it back: virtkit undo {number}"
        console.line(f"✓ {plan.title}: done (change {number}; {back})")
