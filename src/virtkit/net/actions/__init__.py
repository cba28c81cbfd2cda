"""What can be done to this host's network, each step with its way back; the journal finds them here."""

from __future__ import annotations

from virtkit.net.actions.bridge import CreateBridge, DeleteBridge
from virtkit.net.actions.daemon import Adopt, Dismiss, Introduce, StandBack
from virtkit.net.actions.files import ChangeFile, CreateFile, RemoveFile
from virtkit.net.actions.firewall import AcceptBridged
from virtkit.net.actions.handover import JoinBridge, LeaveBridge
from virtkit.net.actions.link import SetLink
from virtkit.net.actions.port import AddPort, RemovePort
from virtkit.net.actions.rehearse import Rehearse
from virtkit.net.actions.settings import CarrySettings
from virtkit.net.actions.sysctl import SetSysctl
from virtkit.net.actions.watch import Watch
from virtkit.net.actions.zone import SetZone

__all__ = [
    "AcceptBridged",
    "AddPort",
    "Adopt",
    "CarrySettings",
    "ChangeFile",
    "CreateBridge",
    "CreateFile",
    "DeleteBridge",
    "Dismiss",
    "Introduce",
    "JoinBridge",
    "LeaveBridge",
    "Rehearse",
    "RemoveFile",
    "RemovePort",
    "SetLink",
    "SetSysctl",
    "SetZone",
    "StandBack",
    "Watch",
]
