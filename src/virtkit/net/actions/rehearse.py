"""The next start of the host is tried before the change counts as done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from virtkit.core.errors import CommandError, NotFoundError, NotSupportedError, VerifyError
from virtkit.core.progress import Note
from virtkit.net import ownership, rehearsal
from virtkit.net.actions.daemon import ForDaemon
from virtkit.net.backend import File

if TYPE_CHECKING:
    from virtkit.core.plan import Json
    from virtkit.core.progress import Sink
    from virtkit.core.system import System

MOST_LOG_LINES = 5  # of what the daemon said, in an error


@dataclass(frozen=True)
class Rehearse(ForDaemon):
    """Changes nothing on the host. A start that would not bring about what stands now takes the whole change back."""

    kind: ClassVar[str] = "net.rehearse"
    unseen: ClassVar[bool] = True

    was: dict[str, str | None]  # the files that the change touches, as they were

    def describe(self) -> str:
        return f"{self.bridge}: rehearse the next start of the host, with {self.title} in a network namespace"

    def apply(self, system: System, report: Sink) -> None:
        earlier = [File(path, text) for path, text in self.was.items()]
        try:
            boot = ownership.load(self.backend).boot(system, self.port, self.bridge)
            verdict = rehearsal.rehearse(system, boot, self.port, self.bridge, earlier)
        except (CommandError, NotFoundError, NotSupportedError) as error:
            report(Note(self.describe(), f"not rehearsed: {error.message}"))
            return
        for difference in verdict.lost:
            report(Note(self.describe(), f"after the next start, with or without this change: {difference}"))
        if verdict.wrong:
            said = verdict.outcome.log[-MOST_LOG_LINES:]
            found = "; ".join(map(str, verdict.wrong))
            raise VerifyError(self.describe(), "\n  ".join([f"after it, {found}", *said]))

    def verify(self, system: System) -> None:
        """Done by :meth:`apply`."""

    def undo(self, system: System, before: Json) -> None:
        """Nothing was changed."""
