"""A unit of systemd for the next start of the host: what was left open is put back before the network comes up.

It is there only while a change is open, so that it is neither forgotten nor in anybody's way. Power cuts are what it
is for: until the confirmation no file is changed, and the host starts as it always was.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.core.errors import SystemCallError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from virtkit.core.system import System

RUNNING = "/run/systemd/system"  # is there if systemd started this host, sd_booted(3)
UNIT = "/etc/systemd/system/virtkit-recover.service"
_WANTED = "/etc/systemd/system/sysinit.target.wants"

_TEXT = """\
# Written by virtkit while a change to the network is open, and removed with it.
[Unit]
Description=Put back the change to the network that was open when this host went down
DefaultDependencies=no
RequiresMountsFor={journal} {python} {code}
ConditionPathExistsGlob={journal}/*.switch
After=local-fs.target
Before=network-pre.target shutdown.target
Wants=network-pre.target
Conflicts=shutdown.target

[Service]
Type=oneshot
ExecStart={command}

[Install]
WantedBy=sysinit.target
"""


def install(system: System, journal: Path, command: Sequence[str]) -> None:
    """Nothing where systemd does not start the host."""
    if not system.exists(RUNNING):
        return
    python, code = command[0], os.path.dirname(command[3])
    quoted = " ".join(_quoted(word) for word in command)
    text = _TEXT.format(journal=journal, python=python, code=code, command=quoted)
    link = system.path(f"{_WANTED}/{os.path.basename(UNIT)}")
    try:
        link.parent.mkdir(parents=True, exist_ok=True)
        system.replace(UNIT, text.encode())
        if not os.path.lexists(link):
            link.symlink_to(UNIT)
    except OSError as error:
        raise SystemCallError(f"write {UNIT}", error) from error


def remove(system: System) -> None:
    system.remove(f"{_WANTED}/{os.path.basename(UNIT)}")
    system.remove(UNIT)


def _quoted(word: str) -> str:
    """As systemd.service(5) reads command lines: % and $ are doubled, quotes and backslashes escaped."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
