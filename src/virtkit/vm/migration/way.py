"""How a machine is to travel, and what may stand in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence


class Way(NamedTuple):
    offline: bool = False  # the definition of a machine that is off
    copied: tuple[str, ...] = ()  # targets of the disks (vda) whose content goes along
    overwrite: bool = False  # disks that are there already are written over
    unsafe: bool = False  # libvirt does not ask whether both hosts really share the storage
    bandwidth: int = 0  # bytes per second; 0: as much as the network gives
    downtime: int = 0  # milliseconds that the machine may stand still at the switch; 0: QEMU's 300
    auto_converge: bool = False  # the guest's vCPUs are slowed down until the copy catches up
    postcopy: bool = False  # after one round it switches, and what is missing is fetched on demand
    address: str = ""  # where the other host's QEMU is reached; empty: as libvirt there calls its host


class Obstacle(NamedTuple):
    """``text`` is ``subject: found, expected``; ``mend`` is what to type, or to do, against it."""

    text: str
    mend: str


class Look(NamedTuple):
    """What a look at both hosts found."""

    obstacles: tuple[Obstacle, ...] = ()
    notes: tuple[str, ...] = ()


def refuse(name: str, there: str, obstacles: Sequence[Obstacle]) -> None:
    """NotSupportedError with all of them, if there are any."""
    if not obstacles:
        return
    count = "1 thing is" if len(obstacles) == 1 else f"{len(obstacles)} things are"
    lines = [f"{name}: {count} in the way to {there}, and nothing was touched"]
    lines += [f"  {each.text}" + (f"\n    try: {each.mend}" if each.mend else "") for each in obstacles]
    raise NotSupportedError("\n".join(lines))


def full_uri(target: str) -> str:
    """``kvm2`` or ``root@kvm2`` is root's libvirt there, by SSH; a URI is itself."""
    return target if "://" in target else f"qemu+ssh://{target}/system"
