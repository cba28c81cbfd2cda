"""A process that kills itself when a function is entered (call) or left (return) for the nth time.

``$VIRTKIT_DIES`` says where, as ``Log.write return 3``. Who imports this module is meant; ``$VIRTKIT_GUARDIAN_DIES`` is
handed on to the guardian that a process starts.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING

from virtkit.core.deadman import starting

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import FrameType

    from virtkit.core.system import System

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The real program, doomed: ``python -c PROGRAM ARGUMENTS`` with the places of death in its environment.
PROGRAM = f"""
import sys
sys.path.insert(0, {TESTS!r})
from support import dying
from virtkit.cli.main import main
dying.doom()
sys.exit(main(sys.argv[1:]))
"""
_launched = starting.launched


def doom() -> None:
    """This process, and the guardian that it starts."""
    starting.launched = launched
    _die_at(os.environ.pop("VIRTKIT_DIES", ""))
    if place := os.environ.pop("VIRTKIT_GUARDIAN_DIES", ""):
        os.environ["VIRTKIT_DIES"] = place


def launched(work: str, journal: Path, system: System, modules: Iterable[str] = (), number: int = 0) -> list[str]:
    return _launched(work, journal, system, {*modules, "support.doomed"}, number)


def _die_at(place: str) -> None:
    if not place:
        return
    name, event, text = place.split()
    times = int(text)

    def watch(frame: FrameType, happened: str, _argument: object) -> None:
        nonlocal times
        if happened == event and frame.f_code.co_qualname == name:
            times -= 1
            if times == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(watch)
