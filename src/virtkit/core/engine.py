"""The one place that changes the machine.

``run``: per action capture, journal, apply, verify, capture again; on any failure undo in reverse.
``undo``: the same way back, later and from any process, after SIGKILL or a reboot.

A step is put back only while the machine shows what the step left there. What somebody else changed since is
reported and not overwritten. A step that could not be put back also stops the steps before it, because they may
carry it (no bridge is deleted under an address that would not move), unless the action ``stands_alone``.
"""

from __future__ import annotations

import json
import signal
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import (
    ChangeError,
    ConflictError,
    NotFoundError,
    RolledBackError,
    SystemCallError,
    UndoIncompleteError,
    VirtkitError,
)
from virtkit.core.journal import STILL_THERE, Status
from virtkit.core.progress import Finished, Note, Started, silent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from virtkit.core.journal import Change, Journal, Log, Step
    from virtkit.core.plan import Action, Json, Plan
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


class Undone(NamedTuple):
    """What an undo did, as the steps' own lines."""

    number: int
    back: list[str]
    kept: list[str]  # they hold data, and deleting it was not asked for


def run(plan: Plan, system: System, journal: Journal, report: Sink = silent, *, origin: str = "") -> int:
    """Carry out ``plan`` whole or not at all; returns the number to undo it by.

    RolledBackError if a step failed and everything was put back; UndoIncompleteError if not everything was;
    KeyboardInterrupt (after putting everything back) if the user or ``report`` broke it off.
    """
    with _interrupted_once(), journal.begin(plan, origin) as log:
        doing = plan.title
        try:
            for index, action in enumerate(plan.actions):
                doing = action.describe()
                _carry_out(index, action, log, system, report)
            log.write("commit")
        except BaseException as error:
            _roll_back(log, system, _deaf(report), doing, error)
            if not isinstance(error, Exception):
                raise
            outcome = "everything was put back" if log.change.begun else "nothing was changed"
            raise RolledBackError(f"{_subject(doing, error)}; {outcome}", hint=getattr(error, "hint", "")) from error
        return log.change.number


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
    with journal.reopen(number) as log:
        keep = log.change.committed and not delete_data
        back, kept, left = _put_back(log, system, report, force=force, keep=keep)
        if left:
            raise UndoIncompleteError(_remains(log.change, left), hint=f"virtkit undo {number} tries the rest again")
        return Undone(number, back, kept)


def newest(journal: Journal) -> Change:
    """The change that ``undo`` without a number means; NotFoundError if there is none."""
    for change in reversed(journal.changes()):
        if change.remaining and not change.running:
            return change
    raise NotFoundError("nothing to undo: the journal holds no change that is still there", hint="virtkit history")


def way_back(change: Change, *, delete_data: bool = False) -> tuple[list[Step], list[Step]]:
    """What ``undo`` would put back, in its order, and what it would keep because it holds data."""
    back: list[Step] = []
    kept: list[Step] = []
    for step in reversed(change.steps):
        if step.status in STILL_THERE or (step.status is Status.KEPT and delete_data):
            action = step.action()
            keep = change.committed and not delete_data and action.holds_data
            if action.changes:
                (kept if keep else back).append(step)
    return back, kept


def _carry_out(index: int, action: Action, log: Log, system: System, report: Sink) -> None:
    text = action.describe()
    log.write("before", step=index, state=_state(action, system))
    report(Started(text))
    action.apply(system, report)
    action.verify(system)
    log.write("done", step=index, state=_state(action, system) if action.changes else None)
    report(Finished(text))


def _roll_back(log: Log, system: System, report: Sink, doing: str, error: BaseException) -> None:
    _, _, left = _put_back(log, system, report, force=False, keep=False)
    if left:
        number = log.change.number
        message = f"{_subject(doing, error)}\n{_remains(log.change, left)}"
        raise UndoIncompleteError(message, hint=f"virtkit undo {number} tries the rest again") from error


def _put_back(
    log: Log, system: System, report: Sink, *, force: bool, keep: bool
) -> tuple[list[str], list[str], dict[int, str]]:
    """-> what was put back, what was kept, and by step's index what is left and why."""
    back: list[str] = []
    kept: list[str] = []
    left: dict[int, str] = {}
    for index, step in reversed(list(enumerate(log.change.steps))):
        if not (step.status in STILL_THERE or (step.status is Status.KEPT and not keep)):
            continue
        try:
            action = step.action()
            if not action.changes:
                _note_down(log, "undone", index)
                continue
            if keep and action.holds_data:
                _note_down(log, "kept", index)
                kept.append(step.text)
                continue
            _put_step_back(index, step, action, log, system, force=force)
        except Exception as error:  # noqa: BLE001  whatever it was, it is reported with the step
            left[index] = _reason(error)
            if not _stands_alone(step):
                break
        else:
            back.append(step.text)
            report(Note("put back", step.text))
    return back, kept, left


def _put_step_back(index: int, step: Step, action: Action, log: Log, system: System, *, force: bool) -> None:
    now, before = action.fingerprint(_state(action, system)), action.fingerprint(step.before)
    whole = step.status in (Status.DONE, Status.KEPT)  # else half done or half undone, and that by us
    gone = now is None and None not in (before, step.after)  # somebody removed the thing itself: nothing to put back on
    if not gone and (now != before or not whole or action.unseen):
        if whole and not force and now != action.fingerprint(step.after):
            raise ConflictError(f"changed by somebody else since: is {_brief(now)}")
        _note_down(log, "undoing", index)
        action.undo(system, step.before)
        if (now := action.fingerprint(_state(action, system))) != before:
            raise ChangeError(f"is {_brief(now)} after undo, expected {_brief(before)}")
    _note_down(log, "undone", index)


def _note_down(log: Log, event: str, index: int) -> None:
    """Putting back goes on without the journal (full disk): the next undo finds the step as it was and skips it."""
    try:
        log.write(event, step=index)
    except SystemCallError:
        log.change.follow({"event": event, "step": index})


def _state(action: Action, system: System) -> Json:
    """As it will be read back from the journal, so that states of two processes compare."""
    state: Json = json.loads(json.dumps(action.capture(system)))
    return state


def _stands_alone(step: Step) -> bool:
    try:
        return step.action().stands_alone
    except VirtkitError:
        return False


def _remains(change: Change, left: dict[int, str]) -> str:
    lines = [
        f"  {step.text}: {left.get(index, 'not tried, because of the above')}"
        for index, step in reversed(list(enumerate(change.steps)))
        if step.status in STILL_THERE
    ]
    head = f"change {change.number} ({change.title}): {len(lines)} of {len(change.steps)} steps are still there"
    return "\n".join([head, *lines])


def _subject(doing: str, error: BaseException) -> str:
    reason = _reason(error)
    return reason if reason.startswith(doing) else f"{doing}: {reason}"


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error) or type(error).__name__


def _brief(state: Json) -> str:
    text = json.dumps(state, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004  a terminal's width


def _deaf(report: Sink) -> Sink:
    """A sink that cancels must not cancel the way back."""

    def sink(event: object) -> None:
        with suppress(Exception, KeyboardInterrupt):
            report(event)  # type: ignore[arg-type]  # passed on as it came

    return sink


@contextmanager
def _interrupted_once() -> Iterator[None]:
    """Ctrl-C, SIGTERM and a lost terminal break a change off once; the way back is not broken off again."""
    if threading.current_thread() is not threading.main_thread():  # signals reach the main thread only
        yield
        return
    broken_off = False

    def break_off(_number: int, _frame: FrameType | None) -> None:
        nonlocal broken_off
        if not broken_off:
            broken_off = True
            raise KeyboardInterrupt

    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    saved = [signal.signal(number, break_off) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, saved, strict=True):
            signal.signal(number, handler)
