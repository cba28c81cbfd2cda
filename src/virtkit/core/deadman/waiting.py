"""The wait for the confirmation, the same for the tool, for the guardian after it, and for who confirms after both."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.boot import boottime
from virtkit.core.deadman import starting
from virtkit.core.deadman.observer import Observer
from virtkit.core.deadman.switch import Answer, Switch, Verdict
from virtkit.core.errors import ChangeError, HandedOverError
from virtkit.core.progress import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.core.deadman import Confirm
    from virtkit.core.journal import Log
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

POLL = 0.05  # seconds
TELL = 0.5  # seconds between two events
SETTLING = 3.0  # seconds that all has to be well before it is kept without asking


def nobody() -> Answer | None:
    """For who has nobody to ask."""
    return None


def never() -> bool:
    return False


class Waiter(NamedTuple):
    """Who waits, and what he listens to besides the switch."""

    switch: Switch
    system: System
    report: Sink
    asked: Callable[[], Answer | None] = nobody  # a terminal
    leaving: Callable[[], bool] = never  # whether this process was told to end; the guardian goes on then


def hold(log: Log, index: int, confirm: Confirm, waiter: Waiter) -> None:
    """Returns when the change may stay. ChangeError with the reason why not; HandedOverError: the guardian waits on.

    The deadline and the answer outlive the process that waits: the next one goes on with both.
    """
    if log.change.holding == index and log.change.confirmed:
        return
    if log.change.holding != index:
        if log.change.holding is not None:  # a plan of several moves: each is confirmed by itself
            waiter.switch.create()
        log.write("holding", step=index, deadline=boottime() + confirm.seconds)
    with Observer(log.change, waiter.system) as observer:
        told = 0.0
        while (answer := _answer(confirm, observer, waiter)) is None:
            _check(log, confirm, observer, waiter)
            if time.monotonic() - told >= TELL:
                told = time.monotonic()
                waiter.report(_event(log, confirm, observer))
                if not waiter.switch.guarded:  # somebody killed it
                    starting.launch(waiter.switch, waiter.system, [step.action() for step in log.change.steps])
            time.sleep(POLL)
    if answer.verdict is Verdict.ROLLBACK:
        raise ChangeError(f"taken back by {answer.by}")
    log.write("confirmed", by=answer.by)


def _answer(confirm: Confirm, observer: Observer, waiter: Waiter) -> Answer | None:
    if answer := waiter.switch.answer() or waiter.asked():
        return answer
    if confirm.auto and observer.good_for(SETTLING):
        return Answer(Verdict.CONFIRM, "the watches")
    return None


def _check(log: Log, confirm: Confirm, observer: Observer, waiter: Waiter) -> None:
    """Raises what ends the wait without a confirmation."""
    if gone := observer.gone():
        raise ChangeError(f"lost what worked before: {'; '.join(gone)}")
    if boottime() >= log.change.deadline:
        raise ChangeError(f"was not confirmed within {confirm.seconds} s")
    if waiter.leaving() and waiter.switch.guarded:
        raise HandedOverError(
            f"{log.change.name}: still waits for its confirmation, without this process",
            hint=f"virtkit confirm {log.change.number}",
        )


def _event(log: Log, confirm: Confirm, observer: Observer) -> Waiting:
    change = log.change
    left = change.waiting or 0.0
    return Waiting(change.title, change.number, left, observer.watched(), observer.lost(), confirm.auto)
