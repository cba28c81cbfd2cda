"""``virtkit confirm``, ``rollback`` and ``recover``: the end of a change that may have cut its administrator off."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.history import data

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.change import Change
    from virtkit.core.deadman import Confirm
    from virtkit.core.deadman.switch import Switch, Verdict
    from virtkit.core.journal import Journal
    from virtkit.core.progress import Sink

MOST_SECONDS = 24 * 3600


def build(parser: Arguments, verb: str) -> None:
    options.output(parser)
    if verb != "recover":
        parser.add_argument(
            "number", metavar="ID", nargs="?", type=int, help="the change; without it the one that waits"
        )
    parser.set_defaults(run={"confirm": confirm, "rollback": rollback, "recover": recover}[verb])


def wanted(args: argparse.Namespace) -> Confirm | None:
    """What ``options.confirmation`` asked for."""
    from virtkit.core.deadman import Confirm
    from virtkit.core.errors import UsageError

    if args.no_confirm:
        return None
    if not 1 <= args.confirm <= MOST_SECONDS:
        raise UsageError(f"--confirm: is {args.confirm}, expected 1 to {MOST_SECONDS} seconds")
    return Confirm(args.confirm, auto=args.auto_confirm)


def confirm(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.deadman.switch import Verdict
    from virtkit.core.errors import RolledBackError

    change = _answered(args.number, Verdict.CONFIRM, console)
    if not change.committed:
        raise RolledBackError(f"change {change.number}: {change.reason}; everything was put back")
    done = f"confirmed and done (change {change.number}; to take it back: virtkit undo {change.number})"
    _say(console, change, f"✓ {change.title}: {done}")
    return 0


def rollback(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.deadman.switch import Verdict
    from virtkit.core.errors import ConflictError

    change = _answered(args.number, Verdict.ROLLBACK, console)
    if change.committed:
        reason = f"was confirmed by {change.confirmed}" if change.confirmed else "is done"
        raise ConflictError(f"{change.name}: {reason}", hint=f"virtkit undo {change.number}")
    _say(console, change, f"✓ {change.title}: everything was put back (change {change.number})")
    return 0


def recover(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.journal import Journal
    from virtkit.core.recovery import recover as put_back
    from virtkit.core.system import System

    with console.progress() as report:
        found = put_back(Journal.default(), System(), report)
    if console.json:
        console.data([data(change) for change in found])
    elif not found:
        console.line("✓ nothing to recover")
    for change in () if console.json else found:
        console.line(f"✓ {change.outcome}")
    return 0


def put_back_what_died(console: Console) -> None:
    """As ``recover``, for a verb that is about to change something else."""
    from virtkit.core.deadman.switch import switches
    from virtkit.core.journal import Journal

    journal = Journal.default()
    if not switches(journal.directory):
        return
    from virtkit.core.recovery import recover as put_back
    from virtkit.core.system import System

    for change in put_back(journal, System()):
        console.note(change.outcome)


def _answered(number: int | None, verdict: Verdict, console: Console) -> Change:
    """Say it to whoever waits, and stay until the change is whole or put back; UndoIncompleteError if it is neither."""
    from virtkit.core.deadman.waiting import POLL
    from virtkit.core.errors import NotFoundError, UndoIncompleteError
    from virtkit.core.journal import Journal

    journal = Journal.default()
    switch = _switch(journal, number)
    with console.progress() as report:
        while switch.exists and (change := journal.change(switch.number)).running and change.waiting is None:
            time.sleep(POLL)  # it is being made still, or put back
        with suppress(NotFoundError):  # it has come to its end meanwhile
            switch.say(verdict, _who())
        change = _end(journal, switch.number, report)
    if change.open and change.remaining:
        raise UndoIncompleteError(
            f"{change.name}: {change.reason}; {len(change.remaining)} steps are still there",
            hint=f"virtkit undo {change.number}",
        )
    return change


def _switch(journal: Journal, number: int | None) -> Switch:
    """NotFoundError where nothing waits, or ever waited."""
    from virtkit.core.deadman.switch import Switch, switches
    from virtkit.core.errors import NotFoundError

    if number is None:
        if not (found := switches(journal.directory)):
            raise NotFoundError("no change waits for a confirmation", hint="virtkit history")
        return found[-1]
    change = journal.change(number)
    if not change.guarded:
        raise NotFoundError(f"{change.name}: needs no confirmation, it is {change.state}")
    return Switch(journal.directory, number)


def _end(journal: Journal, number: int, report: Sink) -> Change:
    """Followed from outside; where nobody lives who could go on with it, this process does."""
    from virtkit.core import engine
    from virtkit.core.deadman.waiting import POLL
    from virtkit.core.errors import BusyError, RolledBackError
    from virtkit.core.recovery import WHY
    from virtkit.core.system import System

    while True:
        try:
            return engine.go_on(journal, number, System(), report, why=WHY)
        except BusyError:
            time.sleep(POLL)
        except RolledBackError:
            return journal.peek(number)


def _who() -> str:
    """For the journal."""
    client = os.environ.get("SSH_CONNECTION", "").split(" ")[0]
    return f"virtkit, pid {os.getpid()}" + (f", SSH from {client}" if client else "")


def _say(console: Console, change: Change, line: str) -> None:
    if console.json:
        console.data(data(change))
    else:
        console.line(line)
