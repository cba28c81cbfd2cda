"""Which process holds a tap: QEMU with its machine's name, or whatever else opened /dev/net/tun.

The kernel names the link in fdinfo, as ``iff:`` (drivers/net/tun.c, tun_chr_show_fdinfo). Other users' processes are
seen by root alone.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System

# Of tun and tap; of macvtap, with the link's index. A process with a /dev of its own shows them without that.
DEVICES = re.compile(r"/(net/tun|tap\d+)$")


class Holder(NamedTuple):
    process: str
    pid: int
    machine: str  # the name that QEMU was given; empty: none


def holders(system: System) -> dict[str, Holder]:
    """By the tap's name."""
    found = {}
    for pid in filter(str.isdecimal, system.names("/proc")):
        for link in _taps(system, pid):
            found[link] = Holder(system.read_or(f"/proc/{pid}/comm", "?"), int(pid), _machine(system, pid))
    return found


def _taps(system: System, pid: str) -> Iterator[str]:
    folder = system.path(f"/proc/{pid}/fd")
    try:
        numbers = os.listdir(folder)
    except OSError:  # gone since, or not ours to look at
        return
    for number in numbers:
        try:
            target = os.readlink(folder / number)
        except OSError:
            continue
        if DEVICES.search(target):
            told = re.search(r"^iff:\s*(\S+)", system.read_or(f"/proc/{pid}/fdinfo/{number}", ""), re.MULTILINE)
            if told:
                yield told[1]


def _machine(system: System, pid: str) -> str:
    """Of ``-name guest=web1,debug-threads=on``; QEMU doubles a comma in a name."""
    command = system.read_or(f"/proc/{pid}/cmdline", "").split("\0")
    values = [value for option, value in pairwise(command) if option == "-name"]
    if not values or "qemu" not in command[0]:
        return ""
    first = re.split(r"(?<!,),(?!,)", values[0])[0]
    return first.removeprefix("guest=").replace(",,", ",")
