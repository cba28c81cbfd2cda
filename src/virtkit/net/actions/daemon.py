"""The daemon that owns a link keeps out of a move, and takes over what it finds afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import VerifyError
from virtkit.core.plan import Action
from virtkit.core.progress import silent
from virtkit.net import ownership
from virtkit.net.backend import Escort

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


@dataclass(frozen=True)
class ForDaemon(Action):
    """What is told to a daemon, or asked of it: nothing of it can be captured from outside."""

    needs_root: ClassVar[bool] = True

    backend: str
    title: str  # of the backend
    port: str
    bridge: str

    def capture(self, system: System) -> Json:
        return None


@dataclass(frozen=True)
class StandBack(ForDaemon):
    """Comes before the move, so that undo comes last: files and kernel are as before, and the daemon looks again."""

    kind: ClassVar[str] = "net.stand_back"
    unseen: ClassVar[bool] = True

    def describe(self) -> str:
        return f"{self.port}: {self.title} leaves it alone until the move is done"

    def apply(self, system: System, report: Sink) -> None:
        ownership.load(self.backend).stand_back(system, self.port, self.bridge, report)

    def verify(self, system: System) -> None:
        """What it prevents is seen by the steps that follow: they compare the kernel with what was planned."""

    def undo(self, system: System, before: Json) -> None:
        ownership.load(self.backend).take_back(system, self.port, self.bridge, silent)


@dataclass(frozen=True)
class Introduce(ForDaemon):
    """Comes after the making of the bridge and before the move. Its way back is that of :class:`StandBack`."""

    kind: ClassVar[str] = "net.introduce"
    volatile: ClassVar[bool] = True

    def describe(self) -> str:
        return f"{self.bridge}: {self.title} gets to know it while it is empty"

    def apply(self, system: System, report: Sink) -> None:
        escort = ownership.load(self.backend)
        if isinstance(escort, Escort):
            escort.introduce(system, self.port, self.bridge, report)

    def verify(self, system: System) -> None:
        """Nothing that the kernel would show."""

    def undo(self, system: System, before: Json) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Dismiss(ForDaemon):
    """The counterpart of :class:`Introduce`, before a bridge is deleted: in an undo it is there and empty again."""

    kind: ClassVar[str] = "net.dismiss"
    volatile: ClassVar[bool] = True
    unseen: ClassVar[bool] = True

    def describe(self) -> str:
        return f"{self.bridge}: {self.title} is not to make it again"

    def apply(self, system: System, report: Sink) -> None:
        escort = ownership.load(self.backend)
        if isinstance(escort, Escort):
            escort.dismiss(system, self.port, self.bridge, report)

    def verify(self, system: System) -> None:
        """Nothing that the kernel would show."""

    def undo(self, system: System, before: Json) -> None:
        escort = ownership.load(self.backend)
        if isinstance(escort, Escort):
            escort.introduce(system, self.port, self.bridge, silent)


@dataclass(frozen=True)
class Adopt(ForDaemon):
    """Comes last, so that undo comes first: the daemon keeps out of the way back, too."""

    kind: ClassVar[str] = "net.adopt"
    unseen: ClassVar[bool] = True

    def describe(self) -> str:
        return f"{self.bridge}: {self.title} takes it over"

    def apply(self, system: System, report: Sink) -> None:
        ownership.load(self.backend).adopt(system, self.port, self.bridge, report)

    def verify(self, system: System) -> None:
        if missing := ownership.load(self.backend).missing(system, self.port, self.bridge):
            raise VerifyError(self.describe(), missing)

    def undo(self, system: System, before: Json) -> None:
        backend = ownership.load(self.backend)
        back = backend.let_go if isinstance(backend, Escort) else backend.stand_back
        back(system, self.port, self.bridge, silent)
