"""What a check finds, and what every check promises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.plan import Action, Json
    from virtkit.net.doctor.scene import Scene


class Harm(Enum):
    """In the order in which they are told."""

    MUTE = "mute"  # guests or the host do not get through now
    WILL = "will break"  # they will not after something that happens every day: a start, an advertisement, a reboot
    RISK = "risk"  # it depends on what this host cannot see


@dataclass(frozen=True)
class Finding:
    check: str  # the plug-in's name, which ``--mend`` takes
    link: str
    harm: Harm
    seen: str  # what was read where
    why: str  # what that does to guests
    mend: tuple[Action, ...] = ()  # empty: not by virtkit
    advice: str = ""  # what to type or to do where ``mend`` is not all
    caution: str = ""  # what to know before mending

    @property
    def weight(self) -> int:
        return list(Harm).index(self.harm)

    def data(self) -> dict[str, Json]:
        return {
            "check": self.check,
            "link": self.link,
            "harm": self.harm.value,
            "seen": self.seen,
            "why": self.why,
            "mend": [action.describe() for action in self.mend],
            "advice": self.advice,
            "caution": self.caution,
        }


@runtime_checkable
class Check(Protocol):
    title: str  # the question it asks

    def find(self, scene: Scene) -> Iterator[Finding]:
        """Nothing where all is well or the host has no such thing; reads only."""
