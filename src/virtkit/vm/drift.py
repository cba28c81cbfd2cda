"""What a machine runs with, against what it would start with. What libvirt fills in when it starts one is no drift."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.vm import nics
from virtkit.vm.difference import Change, changes, split

if TYPE_CHECKING:
    from virtkit.vm.domain import Domain
    from virtkit.vm.machine import Machine

RUNTIME = re.compile(  # over paths without what devices are known by
    r"@id|.*/alias(@name)?|.*/source@index|.*/source/slices.*|.*/backingStore.*|seclabel.*|resource.*|.*/seclabel.*"
    r"|vcpus(/.*)?|cpu(@check|@match|@mode|/.*)?|numatune.*|iothreadids.*"
    r"|interface/target@dev|interface/source@(portid|bridge|network)|interface/backend.*|os/nvram.*|os/loader.*"
    r"|(serial|console|parallel|channel)(@tty|/source.*|/target@state|/log.*)|graphics(@port|@listen|@websocket|/listen.*)"
    r"|(tpm|filesystem|shmem|rng|vsock)/.*|.*/target/current|disk/privateData.*|disk/mirror.*|controller/.*|.*/address@.*"
)


def drift(now: Domain, later: Domain) -> list[Change]:
    """``old`` is what runs, ``new`` what the next start will have."""
    return [change for change in changes(now.node, later.node) if not _runtime(change, now, later)]


def _runtime(change: Change, now: Domain, later: Domain) -> bool:
    tag, known, below = split(change.path)
    if tag == "controller" or (tag == "cpu" and not known):
        return True
    if tag == "interface" and below in ("source@bridge", "source@network", "@type"):
        left, right = now.nic(known), later.nic(known)
        return left is not None and right is not None and nics.place(left) == nics.place(right)
    if tag == "interface" and below == "link@state":
        return (change.old or "up") == (change.new or "up")
    if tag == "disk" and below == "driver@type" and not change.old:  # an empty drive
        return True
    plain = (tag + (below if below.startswith("@") else f"/{below}" if below else "")) if tag else change.path
    return RUNTIME.fullmatch(plain) is not None


def of_machine(machine: Machine) -> tuple[Change, ...]:
    """Nothing for a machine that is off or has no next start."""
    if not (machine.active and machine.persistent):
        return ()
    return tuple(drift(machine.now(), machine.next_start()))
