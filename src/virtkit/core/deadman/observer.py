"""The watches of a plan at work while somebody waits: in a thread, so that one that hangs holds up no deadline."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from virtkit.core.change import Status
from virtkit.core.deadman import Watch

if TYPE_CHECKING:
    from types import TracebackType

    from virtkit.core.change import Change
    from virtkit.core.plan import Json
    from virtkit.core.system import System

EVERY = 0.5  # seconds between two looks
HANGS = 10.0  # seconds for one look: a busy host is slow, and that is no loss


@dataclass
class _View:
    """What one watch sees. Times are those of time.monotonic()."""

    watch: Watch
    before: Json
    lost: list[str] = field(default_factory=list)
    missed: float | None = None  # since when
    looking: float | None = None  # since when; it has not come back
    seen: float | None = None  # when all was well first, without a loss since

    def look(self, system: System) -> None:
        self.looking = began = time.monotonic()
        try:
            lost = self.watch.lost(system, self.before)
        except Exception as error:  # noqa: BLE001  who cannot look does not see that all is well
            lost = [f"{self.watch.describe()}: {error}"]
        self.missed = (self.missed or began) if lost else None
        self.seen = None if lost else self.seen or time.monotonic()
        self.lost, self.looking = lost, None

    def gone(self, now: float) -> list[str]:
        """What has been missing for longer than the watch has patience."""
        if self.missed is not None and now - self.missed >= self.watch.bears():
            return self.lost
        if self.looking is not None and now - self.looking >= HANGS:
            return [f"{self.watch.describe()}: no answer for {now - self.looking:.0f} s"]
        return []


class Observer:
    def __init__(self, change: Change, system: System) -> None:
        self._system = system
        self._views = [
            _View(action, step.before)
            for step in change.steps
            if step.status is Status.DONE and isinstance(action := step.action(), Watch)
        ]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()

    def watched(self) -> tuple[str, ...]:
        return tuple(name for view in self._views for name in view.watch.watched(view.before))

    def lost(self) -> tuple[str, ...]:
        """At present, be it for a moment only."""
        return tuple(name for view in self._views for name in view.lost)

    def gone(self) -> tuple[str, ...]:
        """For too long: reason enough to put everything back."""
        now = time.monotonic()
        return tuple(name for view in self._views for name in view.gone(now))

    def good_for(self, seconds: float) -> bool:
        """Whether nothing was missing for so long; without watches there is nothing to be missed."""
        now = time.monotonic()
        return all(view.seen is not None and now - view.seen >= seconds for view in self._views)

    def _work(self) -> None:
        while not self._over.is_set():
            for view in self._views:
                view.look(self._system)
            self._over.wait(EVERY)
