"""The dead-man's switch: a change that may cut its administrator off is kept only if he says that it may stay.

In a plan, watches stand first and a confirmation stands between what may cut the host off and what makes it last:
[watch, the kernel's move, confirm, files]. Who waits there (the tool, or the guardian after it died) puts everything
back when the time is over, when a watch misses something, or when it is told to.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.plan import Action

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

SECONDS = 60  # to confirm, unless said otherwise


class Watch(Action):
    """Looks at what works before the change, and later for what no longer does. It changes nothing.

    ``capture`` before the first change is the baseline, as JSON: another process goes on watching from it. What does
    not work at that time is never missed later.
    """

    changes: ClassVar[bool] = False
    patience: ClassVar[float] = 2.0  # seconds that a loss may last before everything is put back; within 3 in all

    @abstractmethod
    def watched(self, before: Json) -> list[str]:
        """What worked at ``before``, in words for the administrator: ``your SSH session from 10.9.0.7``."""

    @abstractmethod
    def lost(self, system: System, before: Json) -> list[str]:
        """What worked at ``before`` and does not now, each with how it shows: ``gateway 10.9.0.1 does not answer ARP``.

        Asked twice a second, in a thread of its own in the network namespace of the change; takes a second at most.
        """

    def bears(self) -> float:
        """Seconds of a loss, ``patience`` and what the change itself is known to cost."""
        return self.patience

    def apply(self, system: System, report: Sink) -> None:
        """Nothing: ``capture`` has looked, and who waits for the confirmation looks again."""

    def verify(self, system: System) -> None:
        """Nothing: a loss may last for ``patience``."""

    def undo(self, system: System, before: Json) -> None:
        """Nothing was changed."""

    def fingerprint(self, state: Json) -> Json:
        return None


@dataclass(frozen=True)
class Confirm(Action):
    """Waits until somebody says that the change may stay, from a connection that the change did not break."""

    kind: ClassVar[str] = "core.confirm"
    changes: ClassVar[bool] = False

    seconds: int = SECONDS  # then everything before this step is put back
    auto: bool = False  # nobody is asked: it may stay when the watches miss nothing

    def describe(self) -> str:
        if self.auto:
            return f"keep it if all that worked before works; else put everything back after {self.seconds} s"
        return f"wait for your confirmation; without it put everything back after {self.seconds} s"

    def capture(self, system: System) -> Json:
        return None

    def apply(self, system: System, report: Sink) -> None:
        """The engine waits here: it alone knows the journal, the watches and their baselines."""

    def verify(self, system: System) -> None:
        """Nothing: that somebody confirmed is in the journal."""

    def undo(self, system: System, before: Json) -> None:
        """Nothing was changed."""
