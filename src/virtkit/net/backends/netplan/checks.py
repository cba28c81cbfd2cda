"""Why what netplan says about a link cannot be moved to a bridge, or back. Each reason with its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotFoundError, NotSupportedError
from virtkit.net.backends.netplan import keys, matching
from virtkit.net.backends.netplan.configuration import scalars, text
from virtkit.net.backends.netplan.document import Mapping, resolved

if TYPE_CHECKING:
    from virtkit.core.system import System
    from virtkit.net.backends.netplan.configuration import Configuration, Definition
    from virtkit.net.backends.netplan.document import Entry

PASSED = ("connection.zone", "ipv4.", "ipv6.", "proxy.")  # settings of a NetworkManager profile that are layer 3


def definition(system: System, configuration: Configuration, link: str) -> list[Definition]:
    """The parts of the one definition that means the link, in the order of merging."""
    found = matching.meaning(system, configuration, link)
    if not found:
        raise NotFoundError(f"{link}: netplan's files do not define it", hint="netplan get")
    if len(found) > 1:
        places = ", ".join(f"{parts[0].id} ({parts[0].place})" for parts in found)
        raise NotSupportedError(f"{link}: is meant by {places}, expected one definition")
    (parts,) = found
    for part in parts:
        if [each.document for each in parts].count(part.document) > 1:
            raise NotSupportedError(f"{part.place}: {part.id} is defined twice in one file", hint="write it as one")
    return parts


def movable(system: System, configuration: Configuration, parts: list[Definition], link: str, bridge: str) -> None:
    first = parts[0]
    if first.section not in keys.PORTS:
        raise NotSupportedError(f"{first.place}: {link} is one of {first.section}, expected a link that may be a port")
    for part, port in configuration.listing(first.id):
        place = part.document.place(port.start)
        raise BusyError(
            f"{place}: {first.id} is a port of {part.id} already", hint=f"netplan get {part.section}.{part.id}"
        )
    if others := matching.others(system, parts, link):
        said = f"{first.place}: {first.id} means {', '.join(others)} too"
        raise NotSupportedError(f"{said}, expected {link} alone", hint=f"give {link} a definition of its own")
    if matching.takes(parts, bridge):
        raise NotSupportedError(f"{first.place}: {first.id} would mean {bridge} too", hint=f"match: {{name: {link}}}")
    for part in parts:
        _passed_through(part)
        if switch := part.get("openvswitch"):
            raise NotSupportedError(f"{part.document.place(switch.start)}: {first.id} belongs to Open vSwitch")


def releasable(configuration: Configuration, parts: list[Definition], port: list[Definition]) -> None:
    """NotSupportedError where the bridge carries or is more than its port needs."""
    bridge = parts[0].id
    for part in parts:
        for entry in part.settings.entries:
            if entry.name not in keys.LAYER3 | keys.BOTH | keys.BRIDGE and not _pinned(entry):
                said = f"{part.document.place(entry.start)}: {entry.name} is of the bridge {bridge}"
                raise NotSupportedError(f"{said}, expected what {port[0].id} may have too")
    for part in configuration.definitions():
        for user in filter(None, map(part.get, ("link", "interfaces"))):
            if bridge in (text(user.value), *(each.value for each in scalars(user.value))):
                place = part.document.place(user.start)
                raise BusyError(f"{place}: {part.section}.{part.id} stands on {bridge}", hint="netplan get")
    listed = {each.value for part in parts if (ports := part.get("interfaces")) for each in scalars(ports.value)}
    if listed != {port[0].id}:
        found = ", ".join(sorted(listed)) or "none"
        raise BusyError(f"{parts[0].place}: ports of {bridge} are {found}, expected {port[0].id} alone")


def _pinned(entry: Entry) -> bool:
    """What virtkit itself made it have."""
    passed = {each.name for each in _passed(entry)}
    return entry.name == "networkmanager" and bool(passed) and passed <= keys.PINNED


def _passed(owned: Entry | None) -> tuple[Entry, ...]:
    inner = resolved(owned.value) if owned else None
    through = inner.get("passthrough") if isinstance(inner, Mapping) else None
    passed = resolved(through.value) if through else None
    return passed.entries if isinstance(passed, Mapping) else ()


def _passed_through(part: Definition) -> None:
    """What NetworkManager wrote for itself, and netplan does not know."""
    for entry in _passed(part.get("networkmanager")):
        if entry.name.startswith(PASSED):
            place = part.document.place(entry.start)
            hint = f"nmcli connection modify, and remove {entry.name} from {part.document.path}"
            raise NotSupportedError(f"{place}: {entry.name} is NetworkManager's own, and does not move", hint=hint)
