"""What stands in a plan to watch and to wait leaves nothing that would have to be put back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from support.steps import Write, files
from virtkit.core.deadman import Watch
from virtkit.core.engine import run, undo
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.core.wayback import planned

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.plan import Json


@dataclass(frozen=True)
class WatchFile(Watch):
    """Misses a file that was there before."""

    kind: ClassVar[str] = "test.watch_file"
    path: str

    def describe(self) -> str:
        return f"watch {self.path}"

    def capture(self, system: System) -> Json:
        return system.exists(self.path)

    def watched(self, before: Json) -> list[str]:
        return [self.path] if before else []

    def lost(self, system: System, before: Json) -> list[str]:
        return [f"{self.path}: is gone"] if before and not system.exists(self.path) else []


def test_a_watch_is_never_compared_and_nothing_of_it_is_put_back(tmp_path: Path) -> None:
    system, journal = System(tmp_path), Journal(tmp_path / "journal")
    number = run(Plan("watched", (WatchFile("/a"), Write("/a"))), system, journal)
    back, kept = planned(journal.change(number))
    assert ([step.text for step in back], kept) == (["write /a"], [])
    assert undo(journal, number, system).back == ["write /a"]
    assert "a" not in files(tmp_path)
    assert journal.change(number).state == "undone"
