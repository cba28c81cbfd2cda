"""What changes a machine. Each action opens libvirt anew, so that any process can undo it.

A machine that somebody undefined since is no fault: there is nothing left to put back on it.
"""

from __future__ import annotations

from virtkit.vm.actions.cards import Attach, Reach
from virtkit.vm.actions.life import Autostart, Define, Start, Stop, Undefine, check_undefine, undefine
from virtkit.vm.actions.pins import Pin, Unpin
from virtkit.vm.actions.plugs import Plug, Unplug
from virtkit.vm.actions.pools import RefreshPool
from virtkit.vm.actions.removal import Forget
from virtkit.vm.actions.scheduling import AutostartUnit, SetSchedule
from virtkit.vm.actions.settings import Redefine, Tune
from virtkit.vm.actions.snapshots import DeleteSnapshot, MoveSnapshot, ResumeMemory, RevertInternal, TakeSnapshot
from virtkit.vm.actions.travel import Migrate, PlaceDisk, ProveStorage

__all__ = [
    "Attach",
    "Autostart",
    "AutostartUnit",
    "Define",
    "DeleteSnapshot",
    "Forget",
    "Migrate",
    "MoveSnapshot",
    "Pin",
    "PlaceDisk",
    "Plug",
    "ProveStorage",
    "Reach",
    "Redefine",
    "RefreshPool",
    "ResumeMemory",
    "RevertInternal",
    "SetSchedule",
    "Start",
    "Stop",
    "TakeSnapshot",
    "Tune",
    "Undefine",
    "Unpin",
    "Unplug",
    "check_undefine",
    "undefine",
]
