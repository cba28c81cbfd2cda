"""How a guardian is started: exec'ed anew, in a session of its own, and out of reach of who ends the tool's session."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import TYPE_CHECKING

from virtkit.core.deadman import unit
from virtkit.core.errors import CommandError, NotFoundError, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from virtkit.core.deadman.switch import Switch
    from virtkit.core.plan import Action
    from virtkit.core.system import System

PATIENCE = 15.0  # seconds; half a second is usual
_LAUNCHED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "launched.py")
# The guardian outlives the session of the administrator (KillUserProcesses= of logind.conf(5)), comes back if it is
# killed, and does not hold up the host when that goes down: a reboot takes back what it would.
_PROPERTIES = ("Restart=on-failure", "KillMode=process", "TimeoutStopSec=2", "OOMScoreAdjust=-900")


def start(switch: Switch, system: System, actions: Iterable[Action]) -> None:
    """Returns when the guardian stands by; NotSupportedError if it does not come."""
    if not switch.guarded:
        launch(switch, system, actions)
    deadline = time.monotonic() + PATIENCE
    while not switch.guarded:
        if time.monotonic() > deadline:
            raise NotSupportedError(f"guardian of change {switch.number}: did not start within {PATIENCE:g} s")
        time.sleep(0.01)


def launch(switch: Switch, system: System, actions: Iterable[Action]) -> None:
    """Without waiting for it. Where one stands by already, this one ends at once."""
    modules = {type(action).__module__ for action in actions}
    order = launched("guardian", switch.directory, system, modules, switch.number)
    if not (_systemd_reaches_us(system) and _service(system, switch.number, order)):
        system.spawn(order)


def launched(work: str, journal: Path, system: System, modules: Iterable[str] = (), number: int = 0) -> list[str]:
    """The command for ``work``, with the modules that this process has."""
    order = {
        "path": [os.path.abspath(place) for place in sys.path],
        "modules": sorted(modules),
        "journal": str(journal.absolute()),
        "root": str(system.root),
        "number": number,
    }
    return [sys.executable, "-I", "-S", _LAUNCHED, work, json.dumps(order)]


def _systemd_reaches_us(system: System) -> bool:
    """Whether what it starts lives in our namespaces; in a container's or a test's it would guard another host."""
    try:
        same = all(os.path.samefile(f"/proc/self/ns/{kind}", f"/proc/1/ns/{kind}") for kind in ("mnt", "net", "pid"))
    except OSError:
        return False
    return same and system.exists(unit.RUNNING)


def _service(system: System, number: int, order: list[str]) -> bool:
    properties = [f"--property={value}" for value in _PROPERTIES]
    told = f"--description=virtkit guardian of change {number}"
    command = ["systemd-run", "--quiet", "--collect", f"--unit=virtkit-guardian-{number}", told, *properties, *order]
    try:
        system.run(command)
    except (CommandError, NotFoundError):  # no systemd-run, or a unit of this name is left: then without its help
        return False
    return True
