"""What is asked of the room and what it answers, as JSON on its standard input and output."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from virtkit.net.rehearsal.picture import Picture


class Twin(NamedTuple):
    """A link of the host that the room has too, and what of the card its twin has not."""

    name: str
    mac: str
    driver: str
    properties: dict[str, str]  # udev's


class Lease(NamedTuple):
    """What the room's DHCP server gives to whoever asks."""

    address: str
    prefix_length: int
    router: str  # empty: none
    seconds: int


@dataclass(frozen=True)
class Scene:
    port: str = ""  # empty: there is none, and nothing is compared
    bridge: str = ""
    twins: list[Twin] = field(default_factory=list)
    commands: list[list[str]] = field(default_factory=list)
    fitting: str = ""  # as in Boot
    daemon: list[str] = field(default_factory=list)
    carried: list[str] = field(default_factory=list)  # directories below /run
    files: dict[str, str | None] = field(default_factory=dict)  # laid over the host's; None: taken away
    modes: dict[str, int] = field(default_factory=dict)  # of those that are new, where it is not 0o644
    settings: dict[str, str] = field(default_factory=dict)  # path below /proc/sys -> value
    wanted: Picture = field(default_factory=dict)  # empty: nothing is waited for
    lease: Lease | None = None
    ready: str = ""  # a file that ends the waiting; empty: the links do
    patience: float = 0.0  # seconds
    silence: float = 0.0  # seconds in which a port passes nothing yet, and so nothing happens (STP)

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        scene = json.loads(text)
        scene["twins"] = [Twin(*twin) for twin in scene["twins"]]
        scene["lease"] = Lease(*scene["lease"]) if scene["lease"] else None
        return cls(**scene)


@dataclass(frozen=True)
class Outcome:
    picture: Picture
    log: list[str]  # what commands that failed and the daemon said
    clients: list[str]  # who asked for a lease: MAC address and client identifier, in hex

    def dump(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, text: str) -> Self:
        return cls(**json.loads(text))
