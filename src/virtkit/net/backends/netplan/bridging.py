"""The port's layer 3 moves to a bridge, in each file that says something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError
from virtkit.net.backends.netplan import checks, keys, moving
from virtkit.net.backends.netplan.configuration import merged
from virtkit.net.backends.netplan.document import data
from virtkit.net.backends.netplan.expected import Expected
from virtkit.net.backends.netplan.placing import ETC, placed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.system import System
    from virtkit.net.backend import File, Wish
    from virtkit.net.backends.netplan.configuration import Configuration, Definition
    from virtkit.net.backends.netplan.document import Entry
    from virtkit.net.backends.netplan.moving import Setting

SECTION = "bridges"


def bridged(
    system: System, configuration: Configuration, wish: Wish, pins: Sequence[tuple[str, str]] = ()
) -> tuple[File, ...]:
    """The files that change; none if they say so already. ``pins`` are further settings of the bridge."""
    parts = checks.definition(system, configuration, wish.port)
    if _stands(configuration, parts, wish.bridge):
        return ()
    checks.movable(system, configuration, parts, wish.port, wish.bridge)
    head = [*_head(configuration, parts, wish), *(moving.new(name, text) for name, text in pins)]
    main = next((part for part in parts if part.document.path.startswith(ETC)), parts[0])
    changed = [_changed(part, parts, wish.bridge, head if part is main else None) for part in parts]
    return tuple(file for file in changed if file)


def _stands(configuration: Configuration, parts: list[Definition], bridge: str) -> bool:
    """BusyError where a bridge of this name is another one."""
    found = configuration.of(SECTION, bridge)
    if not found:
        return False
    ports = [port.value for part, port in configuration.listing(parts[0].id) if part.id == bridge]
    if not ports or any(_given(part, parts) for part in parts):
        listed = f"does not have {parts[0].id} as port" if not ports else f"leaves layer 3 to its port {parts[0].id}"
        raise BusyError(
            f"{found[0].place}: defines {bridge} already, and {listed}", hint=f"netplan get bridges.{bridge}"
        )
    return True


def _head(configuration: Configuration, parts: list[Definition], wish: Wish) -> list[Setting]:
    """What makes the bridge one: the port's MAC address, and whether it has STP."""
    part = parts[0]
    settings = [
        moving.new("interfaces", f"[{moving.quoted(part.id)}]"),
        moving.new("macaddress", f'"{wish.mac}"'),
        *([moving.new("mtu", mtu)] if (mtu := _mtu(parts, wish)) else []),
        moving.new("parameters", f"{{stp: {'true' if wish.stp else 'false'}, forward-delay: {wish.forward_delay}}}"),
    ]
    renderer = configuration.renderer(part.section, part.id)
    if renderer != configuration.renderer(SECTION):
        settings.append(moving.new("renderer", renderer))
    return settings


def _mtu(parts: list[Definition], wish: Wish) -> str:
    """A bridge without one follows the smallest of its ports.

    Where a DHCP server may say it (UseMTU=), it is not pinned: the network's MTU may change, and the lease with it.
    """
    settings = merged(parts)
    overrides = settings.get("dhcp4-overrides")
    use = overrides.get("use-mtu", ()) if isinstance(overrides, dict) else ()
    leased = keys.true(str(settings.get("dhcp4", ""))) and not (use and keys.false(str(use[-1])))
    return str(settings["mtu"]) if "mtu" in settings else "" if leased else str(wish.mtu)


def _changed(part: Definition, parts: list[Definition], bridge: str, head: list[Setting] | None) -> File | None:
    """``head``: this file gets the bridge itself, and what makes the port one; the others only part with theirs."""
    given = _given(part, parts)
    kept = [entry for entry in part.settings.entries if entry.name in keys.BOTH or _off_twice(entry, parts)]
    if head is None and not given and not kept:
        return None
    instead = _instead(parts) if head is not None else _placeholder(part, given)
    settings = [*(head or ()), *moving.found(part, _in_order(part, [*given, *kept]))]
    expected = Expected(part.document)
    expected.move(part, given, instead)
    expected.define(SECTION, bridge, settings)
    edits = [*moving.replaced(part, given, instead), *moving.defined(part, SECTION, bridge, settings)]
    return placed(part.document, moving.proven(part.document, edits, expected.data))


def _instead(parts: list[Definition]) -> list[Setting]:
    return [moving.new(name, text) for name, text in keys.NOTHING.items() if not _stays(name, parts)]


def _placeholder(part: Definition, given: list[Entry]) -> list[Setting]:
    """Netplan takes no definition without settings."""
    return [moving.new("dhcp4", keys.NOTHING["dhcp4"])] if len(given) == len(part.settings.entries) else []


def _given(part: Definition, parts: list[Definition]) -> list[Entry]:
    """What the port gives away."""
    return [entry for entry in part.settings.entries if entry.name in keys.LAYER3 and not _stays(entry.name, parts)]


def _stays(name: str, parts: list[Definition]) -> bool:
    """The one place that has it says for the port what a port should say."""
    found = [entry for part in parts for entry in part.settings.entries if entry.name == name]
    return len(found) == 1 and name in keys.NOTHING and _off(found[0])


def _off_twice(entry: Entry, parts: list[Definition]) -> bool:
    """It stays, and the bridge needs it too: without it, a link accepts advertisements."""
    return entry.name in {"accept-ra", "link-local"} and _stays(entry.name, parts)


def _off(entry: Entry) -> bool:
    value = data(entry.value)
    return value == () or (isinstance(value, str) and keys.false(value))


def _in_order(part: Definition, entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in part.settings.entries if entry in entries]
