"""What stands in a plan to watch and to wait leaves nothing that would have to be put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from support.guarded import WatchFile
from support.steps import Write, files
from virtkit.core.engine import run, undo
from virtkit.core.journal import Journal
from virtkit.core.plan import Plan
from virtkit.core.system import System
from virtkit.core.wayback import planned

if TYPE_CHECKING:
    from pathlib import Path


def test_a_watch_is_never_compared_and_nothing_of_it_is_put_back(tmp_path: Path) -> None:
    system, journal = System(tmp_path), Journal(tmp_path / "journal")
    number = run(Plan("watched", (WatchFile("/a"), Write("/a"))), system, journal)
    back, kept = planned(journal.change(number))
    assert ([step.text for step in back], kept) == (["write /a"], [])
    assert undo(journal, number, system).back == ["write /a"]
    assert "a" not in files(tmp_path)
    assert journal.change(number).state == "undone"
