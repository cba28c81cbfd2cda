"""How long work tells the outside about itself: events go one way, into a sink.

Work never asks who listens. A sink may raise (Ctrl-C, a closed browser): that cancels the work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias


class Started(NamedTuple):
    step: str
    total: int | None = None  # in the unit of Advanced.done; None: not known


class Advanced(NamedTuple):
    step: str
    done: int  # so far, not since the last event


class Note(NamedTuple):
    step: str
    text: str


class Finished(NamedTuple):
    step: str


Event: TypeAlias = Started | Advanced | Note | Finished
Sink: TypeAlias = Callable[[Event], None]


def silent(_event: Event) -> None:
    """The sink of callers who do not ask."""
