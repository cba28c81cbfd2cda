"""The changes that a declarative file made: found again in the journal, and taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core import engine, wayback

if TYPE_CHECKING:
    from pathlib import Path

    from virtkit.core.change import Change
    from virtkit.core.journal import Journal
    from virtkit.core.progress import Sink
    from virtkit.core.system import System


def origin(file: Path) -> str:
    """How the journal names a file's changes: by its absolute path, so that down works from any directory."""
    return str(file.resolve())


def made_by(journal: Journal, file: Path) -> list[Change]:
    """The file's changes of which something is left, newest first: disks that an earlier down kept count too."""
    wanted = origin(file)
    changes = [change for change in journal.changes() if change.origin == wanted]
    return [change for change in reversed(changes) if any(wayback.planned(change, delete_data=True))]


def take_down(
    journal: Journal,
    changes: list[Change],
    system: System,
    report: Sink,
    *,
    force: bool = False,
    delete_data: bool = False,
) -> list[engine.Undone]:
    """Undo them in the given order; UndoIncompleteError stops at the first that would not go."""
    return [
        engine.undo(journal, change.number, system, report, force=force, delete_data=delete_data) for change in changes
    ]
