"""In a rehearsal a card's twin is found by the files that find the card, although they go by what only the card has.

A veth has no permanent MAC address, no place on a bus and a driver of its own. Files that go by such things get a
drop-in in the room: one that finds the card goes by the twin's driver and MAC address there, another by no twin's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.networkd import found
from virtkit.net.networkd.found import Traits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.system import System
    from virtkit.net.rehearsal.scene import Twin

OF_HARDWARE = ("Driver", "Path", "PermanentMACAddress", "Property")
DROP_IN = "/run/systemd/network/{name}.d/zzz-twin.conf"  # after every other one
DRIVER = "veth"


def fit(system: System, twins: Sequence[Twin]) -> None:
    for file in found.network_files(system):
        if keys := [key for key in OF_HARDWARE if file.patterns(key)]:
            path = DROP_IN.format(name=file.name)
            system.path(path).parent.mkdir(parents=True, exist_ok=True)
            system.write(path, _match(keys, [twin.mac for twin in twins if file.may_match(_card(twin))]))


def _match(keys: Sequence[str], macs: Sequence[str]) -> str:
    if not macs:
        return f"[Match]\nDriver=!{DRIVER}\n"
    cleared = "".join(f"{key}=\n" for key in (*keys, "MACAddress"))
    return f"[Match]\n{cleared}Driver={DRIVER}\nMACAddress={' '.join(macs)}\n"


def _card(twin: Twin) -> Traits:
    return Traits(twin.name, twin.mac, twin.mac, "ether", twin.driver, twin.properties)
