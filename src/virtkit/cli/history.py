"""``virtkit history`` and ``virtkit undo``: what was changed on this host, and the way back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.change import Change, Step
    from virtkit.core.engine import Undone
    from virtkit.core.journal import Journal
    from virtkit.core.plan import Json


def build(parser: Arguments, verb: str) -> None:
    if verb == "history":
        options.output(parser)
        parser.set_defaults(run=history)
        return
    options.change(parser)
    parser.add_argument("number", metavar="ID", nargs="?", type=int, help="a number from virtkit history")
    parser.add_argument("--force", action="store_true", help="also overwrite what somebody else changed since")
    parser.add_argument("--disks", action="store_true", help="also delete the disks that the change made")
    parser.set_defaults(run=undo)


def history(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.journal import Journal

    changes = Journal.default().changes()
    if console.json:
        console.data([data(change) for change in changes])
    elif not changes:
        console.line("no changes yet")
    else:
        console.table(("ID", "WHEN", "STATE", "WHAT"), [_row(change) for change in changes])
        for change in changes:
            if console.verbose:
                console.line(f"\n{change.number} {change.title}" + _why(change))
                for step in change.steps:
                    console.line(f"  {step.status.value:8} {step.text}")
    return 0


def undo(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.agreement import DECLINED, agreed
    from virtkit.core import engine, wayback
    from virtkit.core.errors import BusyError
    from virtkit.core.journal import Journal
    from virtkit.core.system import System

    journal = Journal.default()
    change = engine.newest(journal) if args.number is None else journal.change(args.number)
    if change.running and change.waiting is not None:
        raise BusyError(f"{change.name}: is {change.state}", hint=f"virtkit rollback {change.number}")
    title = f"undo {change.name}"
    back, kept = wayback.planned(change, delete_data=args.disks)
    if not args.force:
        _refuse_final(change, back, journal)
    lines = [f"put back: {step.text}" for step in back]
    if args.plan:
        _show_plan(console, title, lines, [step.text for step in kept])
        return options.PLAN_HAS_CHANGES if back else 0
    if back and not args.yes and not agreed(title, lines, console):
        return DECLINED
    with console.progress() as report:
        done = engine.undo(journal, change.number, System(), report, force=args.force, delete_data=args.disks)
    _show_result(console, title, done)
    return 0


def _refuse_final(change: Change, back: Sequence[Step], journal: Journal) -> None:
    """NotSupportedError before anything is touched, with the change that can be undone instead."""
    gone = _final(change, back)
    if gone is None:
        return
    from virtkit.core import wayback
    from virtkit.core.errors import NotSupportedError

    hint = "virtkit history"
    for earlier in reversed(journal.changes()):
        there, _ = wayback.planned(earlier)
        if earlier.number < change.number and there and not earlier.running and _final(earlier, there) is None:
            hint = f"virtkit undo {earlier.number}   (the one before it: {earlier.title})"
            break
    raise NotSupportedError(f"{change.name}: nothing brings back what it took away: {gone.text}", hint=hint)


def _final(change: Change, back: Sequence[Step]) -> Step | None:
    """The step of a change in force that cannot be put back."""
    return next((step for step in back if change.committed and step.action().final), None)


def _show_plan(console: Console, title: str, lines: list[str], kept: list[str]) -> None:
    if console.json:
        console.data({"title": title, "back": lines, "kept": kept})
        return
    console.line(f"{title}:" if lines else f"{title}: nothing left to undo")
    for line in (*lines, *(f"keep, since it holds data: {text}" for text in kept)):
        console.line(f"  {line}")


def _show_result(console: Console, title: str, done: Undone) -> None:
    if console.json:
        console.data({"change": done.number, "back": done.back, "kept": done.kept})
        return
    console.line(f"✓ {title}: {len(done.back)} steps put back" if done.back else f"✓ {title}: nothing left to undo")
    for text in done.kept:
        console.line(f"  kept, since it holds data: {text} (to delete it: virtkit undo {done.number} --disks)")


def _row(change: Change) -> tuple[str, str, str, str]:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(change.started))
    return str(change.number), when, change.state, change.title


def _why(change: Change) -> str:
    if change.reason and not change.committed:
        return f": {change.reason}"
    return f": confirmed by {change.confirmed}" if change.confirmed else ""


def data(change: Change) -> Json:
    steps: list[Json] = [{"text": step.text, "kind": step.kind, "status": step.status.value} for step in change.steps]
    return {
        "change": change.number,
        "title": change.title,
        "origin": change.origin,
        "started": change.started,
        "state": change.state,
        "waiting": change.waiting if change.running else None,
        "confirmed": change.confirmed,
        "reason": change.reason,
        "pid": change.pid,
        "steps": steps,
    }
