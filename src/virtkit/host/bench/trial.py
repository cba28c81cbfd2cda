"""What a thing to measure offers: a module ``host/bench/trials/<what>.py`` with ``TRIAL``; the bench finds it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from virtkit.core.system import System


class Setup(NamedTuple):
    """What is compared, and where."""

    a: str  # the sides
    b: str
    directory: str  # for scratch files
    size: int  # bytes of memory to walk through
    load: str  # what a disk is asked to do
    knob: str = ""  # whose two values a and b are; empty: they are sides of the trial


@runtime_checkable
class Trial(Protocol):
    @property
    def about(self) -> str: ...

    @property
    def unit(self) -> str:
        """Of what is measured, the smaller the better: ``ns per step``."""

    def sides(self, system: System, directory: str) -> tuple[str, ...]:
        """All that can be compared here; the first two where nobody says which. NotSupportedError."""

    def plain(self, system: System, directory: str) -> str:
        """The side that is measured where a knob is what differs."""

    def borrows(self, system: System, setup: Setup) -> dict[str, str]:
        """Knobs that have to be otherwise for the time of the trial; who runs it puts them back.

        Raises where it cannot be measured here, before anything is touched.
        """

    def ready(self, system: System, setup: Setup) -> AbstractContextManager[Callable[[str], float]]:
        """Everything for measuring; inside, each call measures one side once."""
