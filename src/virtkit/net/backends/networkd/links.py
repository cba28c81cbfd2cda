"""udev's .link files, which name links as they appear: one that goes by the port's MAC would catch the bridge, too.

At the host's start the bridge may be there first, and would get the name that is the port's (systemd.link(5)).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.net.backend import File
from virtkit.net.backends.networkd.render import mark
from virtkit.net.networkd.found import PLACE, load, paths, plain_mac, traits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.core.system import System
    from virtkit.net.backend import Wish


def kept_from_bridge(system: System, wish: Wish) -> Iterator[File]:
    """A drop-in for each such file: links of the port's type alone."""
    kind = traits(system, wish.port).type
    for path in paths(system, "", ".link"):
        file = load(system, path)
        by_mac = wish.mac in map(plain_mac, file.values("Match", "MACAddress"))
        if by_mac and not {"Type", "Kind", "OriginalName", "PermanentMACAddress"} & set(file.matching):
            said = f"{mark(wish.bridge)} {wish.port}, with its MAC address, and is not for this file.\n"
            yield File(f"{PLACE}/{file.name}.d/virtkit-{wish.bridge}.conf", f"{said}\n[Match]\nType={kind}\n")
