"""Changes whose process and guardian are both dead are put back: at the host's next start, and before the next change.

Twice is once: what is back already is not touched.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from virtkit.core import engine
from virtkit.core.deadman.switch import switches
from virtkit.core.errors import BusyError, NotFoundError, RolledBackError, VirtkitError
from virtkit.core.journal import Journal
from virtkit.core.progress import silent
from virtkit.core.system import System

if TYPE_CHECKING:
    from virtkit.core.change import Change
    from virtkit.core.progress import Sink

WHY = "both the process that made it and its guardian are dead"


def main(journal: str, root: str, _number: int) -> None:
    """What the boot unit runs; its words go to the host's log."""
    for change in recover(Journal(Path(journal)), System(Path(root))):
        sys.stdout.write(f"{change.outcome}\n")


def recover(journal: Journal, system: System, report: Sink = silent) -> list[Change]:
    """Those that were found dead, as they are now. The first that could not be put back raises, after the others."""
    found: list[Change] = []
    trouble: VirtkitError | None = None
    for switch in switches(journal.directory):
        try:
            engine.go_on(journal, switch.number, system, report, why=WHY, patient=False)
        except (BusyError, NotFoundError):  # alive, or somebody took its journal away
            continue
        except RolledBackError:
            pass
        except VirtkitError as error:
            trouble = trouble or error
        found.append(journal.peek(switch.number))
    if trouble:
        raise trouble
    return found
