"""The unit of systemd that starts the machines with an order: of the host, or of an ordinary user's own manager."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import virtkit
from virtkit.core.errors import SystemCallError
from virtkit.vm.connection import SESSION

if TYPE_CHECKING:
    from virtkit.core.system import System

NAME = "virtkit-autostart.service"

_TEXT = """\
# Written by virtkit vm autostart for machines with an order, and removed with the last of them.
[Unit]
Description=Start virtual machines by their order
RequiresMountsFor={code}
{after}
[Service]
Type=simple
Environment={path}
ExecStart={command}
# what it starts is not ended with it: an ordinary user's libvirt lives in here, too
RemainAfterExit=yes
KillMode=process

[Install]
WantedBy={target}
"""
_AFTER = """\
Wants=network-online.target
After=network-online.target remote-fs.target libvirt-guests.service
After=libvirtd.service virtqemud.service virtnetworkd.service virtstoraged.service
"""


class Place(NamedTuple):
    path: str  # of the unit
    link: str  # by which systemd starts it
    text: str


def place(uri: str) -> Place:
    """Where it belongs, and what it says, for who asks now."""
    command = [sys.executable, "-P", "-S", "-m", "virtkit", "vm", "autostart", "--run"]
    modules = ":".join(os.path.abspath(folder) for folder in sys.path if folder)
    if uri == SESSION:
        folder = f"{os.environ.get('XDG_CONFIG_HOME') or os.path.expanduser('~/.config')}/systemd/user"
        after, target = "", "default.target"
    else:
        folder, after, target = "/etc/systemd/system", _AFTER, "multi-user.target"
    quoted = " ".join(quote(word) for word in command)
    code = quote(os.path.dirname(os.path.abspath(virtkit.__file__)))
    text = _TEXT.format(code=code, after=after, path=quote(f"PYTHONPATH={modules}"), command=quoted, target=target)
    return Place(f"{folder}/{NAME}", f"{folder}/{target}.wants/{NAME}", text)


def possible(uri: str, system: System) -> bool:
    """Whether systemd starts this host, sd_booted(3), or runs for this user."""
    if uri != SESSION:
        return system.exists("/run/systemd/system")
    return system.exists(f"{os.environ.get('XDG_RUNTIME_DIR') or f'/run/user/{os.getuid()}'}/systemd")


def installed(uri: str, system: System) -> bool:
    """Whether it is there as it would be written now, and is started with the host."""
    there = place(uri)
    return system.exists(there.link) and system.read_or(there.path, "") == there.text.strip()


def present(uri: str, system: System) -> bool:
    return system.exists(place(uri).path) or system.exists(place(uri).link)


def install(path: str, link: str, text: str, system: System) -> None:
    there = system.path(link)
    try:
        there.parent.mkdir(parents=True, exist_ok=True)
        system.replace(path, text.encode())
        if not os.path.lexists(there):
            there.symlink_to(path)
    except OSError as error:
        raise SystemCallError(f"write {link}", error) from error


def remove(path: str, link: str, system: System) -> None:
    system.remove(link)
    system.remove(path)


def quote(word: str) -> str:
    """As systemd.service(5) reads command lines: % and $ are doubled, quotes and backslashes escaped."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
