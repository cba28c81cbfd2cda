"""What every probe promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import astuple, dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

if TYPE_CHECKING:
    from virtkit.net.model import Link, Network

PATIENCE = 0.8  # seconds for all questions of one round, which are asked at the same time
TRIES = 3  # questions to one that does not answer, evenly spread over the patience


class Answer(NamedTuple):
    well: bool | None  # None: that says neither
    said: str  # one line with its subject: ``gateway 10.9.0.1 on br0: no answer to 3 ARP requests``


@dataclass(frozen=True)
class Probe(ABC):
    """A question to something outside of this host. Its fields are words without spaces, so that it is one line."""

    kind: ClassVar[str]
    privileged: ClassVar[bool] = False  # only root may ask

    @abstractmethod
    def describe(self) -> str:
        """What is watched, for the administrator: ``gateway 10.9.0.1``."""

    @abstractmethod
    def ask(self, network: Network, until: float) -> Answer:
        """Returns before ``until`` of time.monotonic; ``network`` is this host as it is now.

        OSError where this host cannot even ask, which is an answer as well.
        """

    def line(self) -> str:
        return " ".join([self.kind, *astuple(self)])


def holder(network: Network, port: str, bridge: str) -> Link | None:
    """Which of the two has the addresses: the bridge, as long as the port belongs to it."""
    near, far = network.by_name.get(port), network.by_name.get(bridge)
    return far if far and (near is None or near.master == far.index) else near
