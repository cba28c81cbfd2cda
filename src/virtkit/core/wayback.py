"""The way back: the steps of a change in reverse, each compared before it is touched.

A step is put back only while the machine shows what the step left there. What somebody else changed since is
reported and not overwritten. A step that could not be put back also stops the steps before it, because they may
carry it (no bridge is deleted under an address that would not move), unless the action ``stands_alone``.

Of an open change that may have cut the host off, the kernel's part is put back whatever happened to it since: nothing
is worse than a host that nobody reaches. In another boot that part has gone by itself, and only files are put back.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.change import STILL_THERE, Status
from virtkit.core.errors import ChangeError, ConflictError, SystemCallError, VirtkitError
from virtkit.core.progress import Note

if TYPE_CHECKING:
    from virtkit.core.change import Change, Step
    from virtkit.core.journal import Log
    from virtkit.core.plan import Action, Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

_WIDTH = 80  # columns of a terminal


class Outcome(NamedTuple):
    """The steps' own lines; what is left has a reason, by the step's index."""

    back: list[str]
    kept: list[str]  # they hold data, and deleting it was not asked for
    left: dict[int, str]


def planned(change: Change, *, delete_data: bool = False) -> tuple[list[Step], list[Step]]:
    """What an undo would put back, in its order, and what it would keep because it holds data."""
    back: list[Step] = []
    kept: list[Step] = []
    for step in reversed(change.steps):
        if step.status in STILL_THERE or (step.status is Status.KEPT and delete_data):
            action = step.action()
            keep = change.committed and not delete_data and action.holds_data
            if action.changes:
                (kept if keep else back).append(step)
    return back, kept


def put_back(log: Log, system: System, report: Sink, *, force: bool = False, keep: bool = False) -> Outcome:
    """As far as it goes. ``force`` overwrites what others changed, ``keep`` leaves what holds data."""
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
            if _told_in_vain(step, log.change):
                _note_down(log, "undone", index)
                report(Note(step.text, reason(error)))
                continue
            left[index] = reason(error)
            if not _stands_alone(step):
                break
        else:
            back.append(step.text)
            report(Note("put back", step.text))
    return Outcome(back, kept, left)


def _put_step_back(index: int, step: Step, action: Action, log: Log, system: System, *, force: bool) -> None:
    change = log.change
    if not change.committed and change.other_boot and action.volatile:
        _note_down(log, "undone", index)
        return
    force = force or (not change.committed and change.guarded and action.volatile)
    now, before = action.fingerprint(state(action, system)), action.fingerprint(step.before)
    whole = step.status in (Status.DONE, Status.KEPT)  # else half done or half undone, and that by us
    gone = now is None and None not in (before, step.after)  # somebody removed the thing itself: nothing to put back on
    if not gone and (now != before or not whole or action.unseen):
        if whole and not force and now != action.fingerprint(step.after):
            found = action.difference(action.fingerprint(step.after), now, system) or f"is {_brief(now)}"
            raise ConflictError(f"changed by somebody else since: {found}")
        _note_down(log, "undoing", index)
        action.undo(system, step.before)
        if (now := action.fingerprint(state(action, system))) != before:
            raise ChangeError(f"is {_brief(now)} after undo, expected {_brief(before)}")
    _note_down(log, "undone", index)


def _note_down(log: Log, event: str, index: int) -> None:
    """Putting back goes on without the journal (full disk): the next undo finds the step as it was and skips it."""
    try:
        log.write(event, step=index)
    except SystemCallError:
        log.change.follow({"event": event, "step": index})


def state(action: Action, system: System) -> Json:
    """As it will be read back from the journal, so that states of two processes compare."""
    found: Json = json.loads(json.dumps(action.capture(system)))
    return found


def _told_in_vain(step: Step, change: Change) -> bool:
    """A daemon of another boot: before the network it does not run yet, and will read the old files by itself."""
    return not change.committed and change.other_boot and step.action().unseen


def _stands_alone(step: Step) -> bool:
    try:
        return step.action().stands_alone
    except VirtkitError:
        return False


def remains(change: Change, left: dict[int, str]) -> str:
    lines = [
        f"  {step.text}: {left.get(index, 'not tried, because of the above')}"
        for index, step in reversed(list(enumerate(change.steps)))
        if step.status in STILL_THERE
    ]
    head = f"{change.name}: {len(lines)} of {len(change.steps)} steps are still there"
    return "\n".join([head, *lines])


def reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    return str(error) or type(error).__name__


def _brief(state: Json) -> str:
    text = json.dumps(state, ensure_ascii=False)
    return text if len(text) <= _WIDTH else text[: _WIDTH - 3] + "..."
