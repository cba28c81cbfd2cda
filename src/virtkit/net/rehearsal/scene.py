"""What is asked of the room and what it answers, as JSON on its standard input and output."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple, Self

if TYPE_CHECKING:
    from virtkit.net.rehearsal.picture import Picture


class Twin(NamedTuple):
    """A link of the host that the room has too."""

    name: str
    mac: str


class Lease(NamedTuple):
    """What the room's DHCP server gives to whoever asks."""

    address: str
    prefix_length: int
    router: str  # empty: none
    seconds: int


@dataclass(frozen=True)
class Scene:
    port: str
    bridge: str
    twins: list[Twin]
    commands: list[list[str]]
    daemon: list[str]
    carried: list[str]  # directories below /run
    files: dict[str, str | None]  # laid over the host's; None: taken away
    settings: dict[str, str]  # path below /proc/sys -> value
    wanted: Picture  # empty: nothing is waited for
    lease: Lease | None
    patience: float  # seconds

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
