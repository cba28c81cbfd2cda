"""What ifupdown remembers of the links that it brought up: /run/network/ifstate, a line ``eth0=eth0`` for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.core.system import System

IFSTATE = "/run/network/ifstate"
IFUP, IFDOWN, IFQUERY = "/sbin/ifup", "/sbin/ifdown", "/sbin/ifquery"


def brought_up(system: System) -> dict[str, str]:
    """Link -> the stanza's name that it was brought up as."""
    lines = system.read_or(IFSTATE, "").splitlines()
    return {name: logical for name, _, logical in (line.partition("=") for line in lines) if logical}


def remember(system: System, up: Iterable[str], down: Iterable[str]) -> None:
    """Its own programs write it down, under its own lock, and touch no link: ``manual`` stanzas, and no commands."""
    known = brought_up(system)
    for program, names in (
        (IFUP, [name for name in up if name not in known]),
        (IFDOWN, [name for name in down if name in known]),
    ):
        if names:
            stanzas = "".join(f"iface {name} inet manual\n" for name in names)
            quiet = ["--no-act-commands", "--no-scripts", "--no-mappings", "-i", "/dev/stdin"]
            system.run([program, *quiet, *names], text=stanzas)
