"""Ctrl-C, SIGTERM and a lost terminal, while a change is made: what each of them means depends on how far it is.

A lost terminal is what a change of the network is expected to cost; it breaks nothing off that a guardian stands by.
"""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


class Stage(Enum):
    """How far the change is."""

    PLAIN = "nobody stands by"
    CUTTING = "a guardian stands by"
    WAITING = "for the confirmation; told to leave, this process does, and the guardian waits on"
    CONFIRMED = "it may stay: who ends the session has to wait for the rest"
    BACK = "everything is put back, and that is not broken off"


_INTERRUPTING = {
    Stage.PLAIN: {signal.SIGINT, signal.SIGTERM, signal.SIGHUP},
    Stage.CUTTING: {signal.SIGINT, signal.SIGTERM},
    Stage.WAITING: {signal.SIGINT},
    Stage.CONFIRMED: {signal.SIGINT},
    Stage.BACK: set(),
}


class Interruptions:
    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.told_to_leave = False
        self._broken_off = False

    def leaving(self) -> bool:
        return self.told_to_leave

    def come(self, number: int, _frame: FrameType | None) -> None:
        """Breaks off once: what follows is the way back."""
        if number in _INTERRUPTING[self.stage]:
            if not self._broken_off:
                self._broken_off = True
                raise KeyboardInterrupt
        elif self.stage is Stage.WAITING:
            self.told_to_leave = True


@contextmanager
def attentive(stage: Stage) -> Iterator[Interruptions]:
    """Signals reach the main thread only: elsewhere nothing interrupts."""
    interruptions = Interruptions(stage)
    if threading.current_thread() is not threading.main_thread():
        yield interruptions
        return
    numbers = [n for n in _INTERRUPTING[Stage.PLAIN] if signal.getsignal(n) is not signal.SIG_IGN]
    saved = [signal.signal(number, interruptions.come) for number in numbers]
    try:
        yield interruptions
    finally:
        for number, handler in zip(numbers, saved, strict=True):
            signal.signal(number, handler)
