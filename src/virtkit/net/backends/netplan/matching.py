"""Which link a definition means: by its id, or by ``match`` and ``set-name`` (netplan-yaml(5), physical devices)."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from virtkit.net.backends.netplan import keys
from virtkit.net.backends.netplan.configuration import merged

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.backends.netplan.configuration import Configuration, Definition
    from virtkit.net.backends.netplan.document import Data

LINKS = "/sys/class/net"
HARDWARE = frozenset({"wlan", "wwan"})  # kinds of links that are no software; Ethernet has no kind


def meaning(system: System, configuration: Configuration, link: str) -> list[list[Definition]]:
    """All definitions that mean this link, each with its parts in the order of merging.

    What netplan itself makes under this name is no other definition's, though a bridge has its port's MAC address.
    """
    found: dict[tuple[str, str], list[Definition]] = {}
    for part in configuration.definitions():
        found.setdefault((part.section, part.id), []).append(part)
    made = [parts for (section, name), parts in found.items() if name == link and section not in keys.PHYSICAL]
    return made or [parts for parts in found.values() if means(system, parts, link)]


def means(system: System, parts: list[Definition], link: str) -> bool:
    if parts[0].section not in keys.PHYSICAL:
        return parts[0].id == link
    settings = merged(parts)
    match = settings.get("match")
    if not isinstance(match, dict):
        return parts[0].id == link
    renamed = settings.get("set-name") == link
    return all(
        (
            renamed or _fits(match, "name", link),
            _same_mac(system, link, match),
            _fits(match, "driver", _driver(system, link)),
        )
    )


def others(system: System, parts: list[Definition], link: str) -> list[str]:
    """Further links of this host that the same definition means."""
    return [name for name in system.names(LINKS) if name not in {link, "lo"} and means(system, parts, name)]


def takes(parts: list[Definition], name: str) -> bool:
    """Whether a new link of this name would fall under the definition, whatever its MAC address is."""
    match = merged(parts).get("match")
    return isinstance(match, dict) and not {"macaddress", "driver"} & set(match) and _fits(match, "name", name)


def _fits(match: dict[str, tuple[Data, ...]], key: str, found: str) -> bool:
    """``driver`` may be a list of patterns; what is not asked for fits."""
    wanted = match.get(key, ())[-1:]
    patterns = wanted[0] if wanted and isinstance(wanted[0], tuple) else wanted
    return not wanted or any(fnmatchcase(found, str(pattern)) for pattern in patterns)


def _same_mac(system: System, link: str, match: dict[str, tuple[Data, ...]]) -> bool:
    """With the permanent one: a bond's port has the bond's while it is in it, and what is made of links has none."""
    wanted = match.get("macaddress", ())[-1:]
    place = f"{LINKS}/{link}"
    kind = re.search(r"^DEVTYPE=(\S+)", system.read_or(f"{place}/uevent", ""), re.MULTILINE)
    if not wanted or (kind and kind[1] not in HARDWARE):
        return not wanted
    mac = system.read_or(f"{place}/bonding_slave/perm_hwaddr", "") or system.read_or(f"{place}/address", "")
    return mac.lower() == str(wanted[0]).lower()


def _driver(system: System, link: str) -> str:
    place = system.path(f"{LINKS}/{link}/device/driver")
    return os.path.basename(os.path.realpath(place)) if place.exists() else ""
