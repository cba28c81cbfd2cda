"""What ifupdown remembers of the links that it brought up: /run/network/ifstate, a line ``eth0=eth0`` for each."""

from __future__ import annotations

import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from virtkit.net.backends.ifupdown.tree import MAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from virtkit.core.system import Completed, System

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
            quiet = ["--no-act-commands", "--no-scripts", "--no-mappings", "-i", "/proc/self/fd/0"]
            system.run([program, *quiet, *names], text=stanzas)


def rehearsed(system: System, flat: str, names: Sequence[str]) -> Completed:
    """What ``ifup`` would run, and what it says of a configuration that is all in one text; nothing is run."""
    with tempfile.TemporaryDirectory(prefix="virtkit-") as folder:
        place = Path(folder) / "interfaces"
        place.write_text(flat, errors="surrogateescape")
        options = ["--no-act", "--no-mappings", "--no-scripts", "-i", str(place), "--state-dir", folder]
        done = system.run([IFUP, *options, *names], check=False)
    return done._replace(stderr=done.stderr.replace(str(place), MAIN))


def dhcpcd(system: System, flat: str, link: str) -> tuple[str, ...]:
    """How ``ifup`` would start dhcpcd on the link, which does not show its own command line; empty: it would not."""
    done = rehearsed(system, flat, [link])
    found = [line.strip() for text in (done.stdout, done.stderr) for line in text.splitlines()]
    return next((tuple(shlex.split(line)) for line in found if line.startswith("dhcpcd ")), ())
