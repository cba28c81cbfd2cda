"""How long work tells the outside about itself: events go one way, into a sink.

Work never asks who listens. A sink may raise (Ctrl-C, a closed browser): that cancels the work.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import TypeAlias


_SMOOTHING = 4.0  # seconds: what lies further back than a few times this no longer shows in the rate
_SHORTEST = 0.1  # seconds between two looks at the speed


class Started(NamedTuple):
    step: str
    total: int | None = None  # None: not known
    done: int = 0  # before this step began: it goes on with what was interrupted
    unit: str = "bytes"  # or what else is counted, in the plural: pages


class Advanced(NamedTuple):
    step: str
    done: int  # so far, not since the last event


class Note(NamedTuple):
    step: str
    text: str


class Waiting(NamedTuple):
    """A change waits for its confirmation. Told twice a second."""

    step: str  # the change's title
    change: int  # its number
    left: float  # seconds
    watched: tuple[str, ...]  # what worked before the change
    lost: tuple[str, ...]  # what of that does not work now
    auto: bool = False  # nobody needs to confirm it while nothing is lost


class Finished(NamedTuple):
    step: str


Event: TypeAlias = Started | Advanced | Note | Waiting | Finished
Sink: TypeAlias = Callable[[Event], None]


def silent(_event: Event) -> None:
    """The sink of callers who do not ask."""


class Course:
    """How one step gets on: how much is done, how fast, and how long it will take."""

    def __init__(self, started: Started, clock: Callable[[], float] = time.monotonic) -> None:
        self.step = started.step
        self.total = started.total
        self.unit = started.unit
        self.done = self.first = started.done
        self._clock = clock
        self._began = self._seen = clock()
        self._seen_done = started.done
        self._rate: float | None = None

    def advance(self, done: int) -> None:
        self.done = done
        now = self._clock()
        passed = now - self._seen
        if passed < _SHORTEST:
            return
        speed = (done - self._seen_done) / passed
        if self._rate is None:
            self._rate = speed
        else:
            self._rate += (speed - self._rate) * (1 - math.exp(-passed / _SMOOTHING))
        self._seen, self._seen_done = now, done

    @property
    def seconds(self) -> float:
        """Since the step began."""
        return self._clock() - self._began

    @property
    def rate(self) -> float:
        """Per second, in the unit of ``done``: of the last seconds, smoothed; 0.0 before anything was moved."""
        if self._rate is not None:
            return self._rate
        return (self.done - self.first) / max(self.seconds, _SHORTEST)

    @property
    def eta(self) -> float | None:
        """Seconds until the step ends; None where that cannot be told."""
        if self.total is None or not self.rate > 0:
            return None
        return max(self.total - self.done, 0) / self.rate

    @property
    def fraction(self) -> float | None:
        """0.0 to 1.0; None without a total."""
        if self.total is None:
            return None
        return min(self.done / self.total, 1.0) if self.total else 1.0
