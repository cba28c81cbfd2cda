"""LVM's own programs, and what they say when something is missing."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, NotFoundError, NotSupportedError, UsageError
from virtkit.core.system import is_root
from virtkit.disk.lvm.report import GROUP_FIELDS, VOLUME_FIELDS, Group, Volume, parse_groups, parse_volumes

if TYPE_CHECKING:
    from virtkit.core.system import System

_REPORT = ("--reportformat", "json", "--units", "b", "--nosuffix", "--options")
_INSTALL = "apt install lvm2, or dnf install lvm2"
_NOT_THERE = ("Failed to find logical volume", "not found")  # of stderr; the exit status is that of all errors
_NAME = re.compile(r"[A-Za-z0-9+_.][A-Za-z0-9+_.-]*")  # lvm(8), VALID NAMES: no hyphen first, it would be an option
_SECONDS = 300  # for programs that zero and wait for the kernel


def run(system: System, *command: str) -> str:
    """What it printed; CommandError, NotSupportedError with a hint where LVM is not installed, and for who is not root.

    To others vgs and lvs say that there are none, with exit status 0: seen with LVM 2.03.16.
    """
    if not is_root():
        raise NotSupportedError(f"{command[0]}: LVM answers root alone", hint="sudo virtkit ...")
    try:
        return system.run(command, timeout=_SECONDS).stdout
    except NotFoundError as error:
        raise NotSupportedError(f"{command[0]}: LVM is not installed", hint=_INSTALL) from error


def groups(system: System) -> list[Group]:
    return parse_groups(run(system, "vgs", *_REPORT, ",".join(GROUP_FIELDS)))


def volumes(system: System) -> list[Volume]:
    return parse_volumes(run(system, "lvs", *_REPORT, ",".join(VOLUME_FIELDS)))


def group(system: System, name: str) -> Group:
    """NotFoundError."""
    for found in groups(system):
        if found.name == name:
            return found
    raise NotFoundError(f"{name}: no such volume group", hint="virtkit disk lvm list")


def find(system: System, name: str) -> Volume:
    """By ``VG/LV`` or a path below /dev; NotFoundError."""
    if not name.startswith("/dev/"):
        split(name)
    try:
        found = parse_volumes(run(system, "lvs", *_REPORT, ",".join(VOLUME_FIELDS), name))
    except CommandError as error:
        if not any(words in error.stderr for words in _NOT_THERE):
            raise
        found = []
    if len(found) != 1:
        raise NotFoundError(f"{name}: no such logical volume", hint="virtkit disk lvm list")
    return found[0]


def split(name: str) -> tuple[str, str]:
    """Group and volume of ``VG/LV``, also behind /dev/; UsageError."""
    group_name, _, volume = name.removeprefix("/dev/").partition("/")
    for part in (group_name, volume):
        if not _NAME.fullmatch(part) or part in {".", ".."}:
            raise UsageError(f"{name}: is no name of a logical volume, expected VG/LV", hint="virtkit disk lvm list")
    return group_name, volume


def remove(system: System, full_name: str) -> None:
    run(system, "lvremove", "--yes", full_name)
