"""The one place that changes the machine.

``run``: per action capture, journal, apply, verify, capture again; on any failure undo in reverse (core/wayback).
``undo``: the same way back, later and from any process, after SIGKILL or a reboot.
``go_on``: with an open change whose process is dead: the guardian does, and who confirms or recovers after both.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core import offspring, wayback
from virtkit.core.change import Status
from virtkit.core.deadman import Confirm, guarding
from virtkit.core.deadman.switch import Switch
from virtkit.core.deadman.waiting import Waiter, hold, nobody
from virtkit.core.errors import (
    ChangeError,
    HandedOverError,
    NotFoundError,
    NotSupportedError,
    RolledBackError,
    SystemCallError,
    UndoIncompleteError,
)
from virtkit.core.interruptions import Interruptions, Stage, attentive
from virtkit.core.progress import Finished, Note, Started, silent
from virtkit.core.system import is_root

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from virtkit.core.change import Change
    from virtkit.core.deadman.switch import Answer
    from virtkit.core.journal import Journal, Log
    from virtkit.core.plan import Action, Plan
    from virtkit.core.progress import Event, Sink
    from virtkit.core.system import System


class Undone(NamedTuple):
    """What an undo did, as the steps' own lines."""

    number: int
    back: list[str]
    kept: list[str]  # they hold data, and deleting it was not asked for


class _Work(NamedTuple):
    """A change in hand."""

    log: Log
    waiter: Waiter  # system and sink, too
    interruptions: Interruptions


def run(
    plan: Plan,
    system: System,
    journal: Journal,
    report: Sink = silent,
    *,
    origin: str = "",
    asked: Callable[[], Answer | None] = nobody,
) -> int:
    """Carry out ``plan`` whole or not at all; returns the number to undo it by.

    NotSupportedError as ``refuse_others``. RolledBackError if a step failed, or nobody confirmed, and everything was
    put back; UndoIncompleteError if not everything was; KeyboardInterrupt (after putting everything back) if the user
    or ``report`` broke it off. HandedOverError: it waits for its confirmation still, and the guardian goes on with it.
    ``asked`` is asked for the confirmation again and again, besides ``virtkit confirm``.
    """
    refuse_others(plan)
    stage = Stage.CUTTING if plan.cuts_off else Stage.PLAIN
    with attentive(stage) as interruptions, guarding.begun(plan, system, journal, origin) as log:
        sink = _calm(report) if plan.cuts_off else report
        waiter = Waiter(Switch(journal.directory, log.change.number), system, sink, asked, interruptions.leaving)
        return _forward(enumerate(plan.actions), _Work(log, waiter, interruptions))


def refuse_others(plan: Plan, hint: str = "sudo virtkit ...") -> None:
    """NotSupportedError for who is not root, of a plan with a step that is root's."""
    if (step := plan.reserved) and not is_root():
        raise NotSupportedError(f"{step}: needs root", hint=hint)


def undo(
    journal: Journal,
    number: int,
    system: System,
    report: Sink = silent,
    *,
    force: bool = False,
    delete_data: bool = False,
) -> Undone:
    """Put back what is still there of change ``number``; nothing to do is no error.

    ``force`` overwrites what somebody else changed since; ``delete_data`` also removes disks that a committed
    change made. UndoIncompleteError says what is left and why; calling again tries just that again.
    """
    with guarding.reopened(journal, number, report) as log:
        _end_left(log.change, report)
        with guarding.undoing(log, system, journal):
            _take(log)
            return _undone(log, system, report, force=force, keep=log.change.committed and not delete_data)


def _undone(log: Log, system: System, report: Sink, *, force: bool, keep: bool) -> Undone:
    back, kept, left = wayback.put_back(log, system, report, force=force, keep=keep)
    if left:
        raise _incomplete(log.change, wayback.remains(log.change, left))
    return Undone(log.change.number, back, kept)


def go_on(
    journal: Journal, number: int, system: System, report: Sink = silent, *, why: str, patient: bool = True
) -> Change:
    """Finish an open change that nobody works on any more; BusyError if somebody does.

    If it waits for its confirmation (and ``patient``), that goes on, and the rest of the plan follows; else everything
    is put back because of ``why``. RolledBackError and UndoIncompleteError as ``run``.
    """
    switch = Switch(journal.directory, number)
    with _reopened(journal, switch, system) as log, attentive(Stage.WAITING) as interruptions:
        change = log.change
        try:
            if not switch.exists:  # whole, or put back, since the caller looked
                return change
            _end_left(change, report)
            _take(log)
            if change.committed and change.reason:  # somebody died while it was undone
                _put_rest_back(log, system, report)
            elif change.open:
                waiter = Waiter(switch, system, report, leaving=interruptions.leaving)
                _forward(_rest(change, why, patient=patient), _Work(log, waiter, interruptions))
        finally:
            guarding.settle(change, system, journal)
        return change


def _reopened(journal: Journal, switch: Switch, system: System) -> Log:
    try:
        return journal.reopen(switch.number)
    except NotFoundError:  # somebody took its journal away
        guarding.abandon(switch, system)
        raise


def _end_left(change: Change, report: Sink) -> None:
    """What a process that is dead left running must not get in between."""
    for command in [] if change.other_boot else offspring.end_left(change.pid, change.born):
        report(Note(change.name, f"{command}, left running by the dead pid {change.pid}, was ended"))


def _take(log: Log) -> None:
    """From here on it is ours; the way back needs no journal for that."""
    if log.change.remaining:
        with suppress(SystemCallError):
            log.take()


def newest(journal: Journal) -> Change:
    """The change that ``undo`` without a number means; NotFoundError if there is none.

    One that may have cut the host off is not passed over while somebody works on it: its guardian after a kill.
    """
    for change in reversed(journal.changes()):
        if change.remaining and (change.guarded or not change.running):
            return change
    raise NotFoundError("nothing to undo: the journal holds no change that is still there", hint="virtkit history")


def _rest(change: Change, why: str, *, patient: bool) -> Iterator[tuple[int, Action]]:
    """The steps from the confirmation on; ChangeError where the change does not wait for it."""
    at = change.holding
    waits = at is not None and all(step.status is Status.PLANNED for step in change.steps[at + 1 :])
    if at is None or not waits or change.reason or change.other_boot or not patient:
        raise ChangeError(change.reason or why)
    for index, step in list(enumerate(change.steps))[at:]:
        yield index, step.action()


def _forward(steps: Iterable[tuple[int, Action]], work: _Work) -> int:
    log = work.log
    doing = log.change.title
    try:
        for index, action in steps:
            doing = log.change.title if isinstance(action, Confirm) else action.describe()
            _carry_out(index, action, work)
        log.write("commit")
    except HandedOverError:
        raise
    except BaseException as error:
        _roll_back(work, doing, error)
        if not isinstance(error, Exception):
            raise
        outcome = "everything was put back" if log.change.begun else "nothing was changed"
        raise RolledBackError(f"{_subject(doing, error)}; {outcome}", hint=getattr(error, "hint", "")) from error
    return log.change.number


def _carry_out(index: int, action: Action, work: _Work) -> None:
    log, system, report, text = work.log, work.waiter.system, work.waiter.report, action.describe()
    log.write("before", step=index, state=wayback.state(action, system))
    report(Started(text))
    if isinstance(action, Confirm):
        work.interruptions.stage = Stage.WAITING
        hold(log, index, action, work.waiter)
        work.interruptions.stage = Stage.CONFIRMED
        report(Note("confirmed by", log.change.confirmed))
    action.apply(system, report)
    action.verify(system)
    log.write("done", step=index, state=wayback.state(action, system) if action.changes else None)
    report(Finished(text))


def _roll_back(work: _Work, doing: str, error: BaseException) -> None:
    work.interruptions.stage = Stage.BACK
    log, system = work.log, work.waiter.system
    if log.change.guarded and not log.change.reason:
        why = wayback.reason(error) if doing == log.change.title else _subject(doing, error)
        with suppress(SystemCallError):  # the way back needs no journal
            log.write("back", why=why)
    left = wayback.put_back(log, system, _deaf(work.waiter.report)).left
    if left:
        raise _incomplete(log.change, f"{_subject(doing, error)}\n{wayback.remains(log.change, left)}") from error


def _put_rest_back(log: Log, system: System, report: Sink) -> None:
    if left := wayback.put_back(log, system, _deaf(report), keep=True).left:
        raise _incomplete(log.change, wayback.remains(log.change, left))


def _incomplete(change: Change, message: str) -> UndoIncompleteError:
    return UndoIncompleteError(message, hint=f"virtkit undo {change.number} tries the rest again")


def _subject(doing: str, error: BaseException) -> str:
    reason = wayback.reason(error)
    return reason if reason.startswith(doing) else f"{doing}: {reason}"


def _calm(report: Sink) -> Sink:
    """A terminal that is lost is no reason to go back: this change is expected to cost it."""

    def sink(event: Event) -> None:
        with suppress(OSError):
            report(event)

    return sink


def _deaf(report: Sink) -> Sink:
    """A sink that cancels must not cancel the way back."""

    def sink(event: Event) -> None:
        with suppress(Exception, KeyboardInterrupt):
            report(event)

    return sink
