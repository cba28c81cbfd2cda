"""A change that may cut its administrator off begins only with room for its whole journal and a guardian beside it."""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from virtkit.core.boot import boottime
from virtkit.core.deadman import Confirm, starting, unit
from virtkit.core.deadman.switch import Switch, switches
from virtkit.core.errors import BusyError, SystemCallError, VirtkitError
from virtkit.core.progress import Note
from virtkit.core.units import KIB

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from virtkit.core.change import Change, Step
    from virtkit.core.journal import Journal, Log
    from virtkit.core.plan import Action, Plan
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

PUTS_BACK = 120.0  # seconds that it may take: a guest that is asked to stop takes its time
_ROOM, _FACTOR = 64 * KIB, 16  # a step's states are larger than its line in the plan, but not by so much


@contextmanager
def begun(plan: Plan, system: System, journal: Journal, origin: str) -> Iterator[Log]:
    """As ``Journal.begin``; BusyError while another change that may cut the host off is open."""
    if not plan.cuts_off:
        with journal.begin(plan, origin) as log:
            yield log
        return
    with journal.alone():
        _refuse_second(journal)
        log = journal.begin(plan, origin)
        switch = _prepared(log, journal)
    with log:
        try:
            _stand_by(switch, log, plan.actions, system)
        except BaseException:
            settle(log.change, system, journal)
            log.withdraw()
            raise
        try:
            yield log
        finally:
            settle(log.change, system, journal)


@contextmanager
def undoing(log: Log, system: System, journal: Journal) -> Iterator[None]:
    """The way back of a change that may cut the host off is guarded as well: the guardian finishes it."""
    if not any(_cuts_off(step) for step in log.change.remaining):
        yield
        return
    switch = Switch(journal.directory, log.change.number)
    with journal.alone():
        _refuse_second(journal, besides=switch.number)
        with suppress(OSError):
            switch.create()
    with suppress(VirtkitError):  # a full disk is no reason to leave things as they are
        _send_for_guardian(switch, system, [step.action() for step in log.change.steps])
        log.write("back", why="undo")
    try:
        yield
    except VirtkitError:  # what is left was told; whoever was broken off otherwise leaves it to the guardian
        settle(log.change, system, journal)
        raise
    settle(log.change, system, journal)


def reopened(journal: Journal, number: int, report: Sink) -> Log:
    """As ``Journal.reopen``; whoever makes or puts back a guarded change at present is waited for, if not for long.

    After SIGKILL it is either the guardian's already, or ours before he looks.
    """
    began, told = time.monotonic(), False
    while True:
        try:
            return journal.reopen(number)
        except BusyError:
            change = journal.peek(number)
            if not change.guarded or change.waiting is not None or time.monotonic() - began > PUTS_BACK:
                raise
            if not told and time.monotonic() - began > 1:
                report(Note(change.name, f"pid {change.pid} works on it; waiting for its end"))
                told = True
            time.sleep(0.05)


def settle(change: Change, system: System, journal: Journal) -> None:
    """Takes guardian and unit away from a change that is not open any more."""
    if not (change.open and change.begun):
        abandon(Switch(journal.directory, change.number), system)


def abandon(switch: Switch, system: System) -> None:
    """Nothing is left to guard."""
    switch.remove()
    if not switches(switch.directory):
        unit.remove(system)


def _cuts_off(step: Step) -> bool:
    try:
        return step.action().cuts_off
    except VirtkitError:  # of another version: it is told when its turn comes
        return False


def _prepared(log: Log, journal: Journal) -> Switch:
    """Nothing has been touched yet: a full disk is met here or not at all."""
    switch = Switch(journal.directory, log.change.number)
    try:
        log.reserve(_ROOM + _FACTOR * log.path.stat().st_size)
        switch.create()
    except BaseException as error:
        switch.remove()
        log.withdraw()
        log.close()
        if isinstance(error, OSError):
            raise SystemCallError(f"write {switch.path}", error) from error
        raise
    return switch


def _stand_by(switch: Switch, log: Log, actions: tuple[Action, ...], system: System) -> None:
    _send_for_guardian(switch, system, actions)
    if confirm := next((action for action in actions if isinstance(action, Confirm)), None):
        log.write("armed", deadline=boottime() + confirm.seconds)


def _send_for_guardian(switch: Switch, system: System, actions: Iterable[Action]) -> None:
    starting.start(switch, system, actions)
    unit.install(system, switch.directory, starting.launched("recovery", switch.directory, system))


def _refuse_second(journal: Journal, besides: int = 0) -> None:
    for switch in switches(journal.directory):
        if switch.number == besides:
            continue
        change = journal.change(switch.number)
        if not change.running and not change.open:
            switch.remove()  # of a process that died between its last line and this
            continue
        number, since = change.number, time.strftime("%H:%M:%S", time.localtime(change.started))
        if change.running:
            who, hint = f"pid {change.pid} works on it", f"virtkit confirm {number}, or virtkit rollback {number}"
        else:
            who, hint = f"pid {change.pid} died over it", "virtkit recover"
        raise BusyError(f"{change.name}: is open since {since}, and {who}", hint=hint)
