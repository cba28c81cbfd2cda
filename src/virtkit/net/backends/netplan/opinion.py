"""The second opinion: whether what netplan renders for its daemons is what was asked for. Read from their files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeAlias

from virtkit.net.backends.netplan.rendering import NETWORKD, PROFILES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.backend import Wish

    Section: TypeAlias = "tuple[str, tuple[str, ...]]"  # its name, and its lines in their order
    Files: TypeAlias = "dict[str, str]"

LOWER = {"Match", "Link"}  # sections of a .network file that are not layer 3
# What bridges and ports have by themselves, and VLANs that stand on a port.
NOT_LAYER3 = ("Bridge=", "ConfigureWithoutCarrier=", "LinkLocalAddressing=ipv6", "VLAN=", "LLDP=", "EmitLLDP=")
NOTHING = {"LinkLocalAddressing=no", "IPv6AcceptRA=no", "DHCP=no"}
LISTED = re.compile(r"[; ]")  # between the members of a list: NetworkManager's, networkd's
NO_ADDRESS = {"method=disabled", "method=ignore", "method=link-local"}  # NetworkManager gives a port none


def bridged(before: Files, after: Files, wish: Wish, port: str) -> list[str]:
    """What is not as wished; ``port`` is the definition's id."""
    profile = f"{PROFILES}/netplan-{wish.bridge}.nmconnection" in after
    check = _profiles if profile else _networks
    return [*check(before, after, wish, port), *_bystanders(before, after, {port, wish.bridge}), *_taken(after, wish)]


def sections(text: str) -> list[Section]:
    """Of an INI file; a section may be there several times."""
    found: list[tuple[str, list[str]]] = []
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            found.append((line.strip("[]"), []))
        elif line and found and not line.startswith(("#", ";")):
            found[-1][1].append(line)
    return [(name, tuple(lines)) for name, lines in found]


def _networks(before: Files, after: Files, wish: Wish, port: str) -> Iterator[str]:
    """For networkd."""
    device = after.get(f"{NETWORKD}/10-netplan-{wish.bridge}.netdev", "")
    if not {"Kind=bridge", f"MACAddress={wish.mac}", _stp(wish, "STP")} <= set(device.splitlines()):
        yield f"{wish.bridge} is no bridge with the MAC address {wish.mac} and {_stp(wish, 'STP')}"
    network = after.get(f"{NETWORKD}/10-netplan-{port}.network", "")
    if f"Bridge={wish.bridge}" not in network.splitlines():
        yield f"{port} is no port of {wish.bridge}"
    if left := [line for _, lines in _layer3(network) for line in lines if line not in NOTHING]:
        yield f"{port} keeps {', '.join(left)}"
    had, has = (
        _layer3(before.get(f"{NETWORKD}/10-netplan-{port}.network", "")),
        _layer3(after.get(f"{NETWORKD}/10-netplan-{wish.bridge}.network", "")),
    )
    yield from _differences(wish.bridge, had, has)


def _profiles(before: Files, after: Files, wish: Wish, port: str) -> Iterator[str]:
    """For NetworkManager."""
    bridge = sections(after[f"{PROFILES}/netplan-{wish.bridge}.nmconnection"])
    said = {line.lower() for _, lines in bridge for line in lines}
    mac = {f"{key}={wish.mac}" for key in ("cloned-mac-address", "mac-address")}
    if _stp(wish, "stp") not in said or not said & mac:
        yield f"{wish.bridge} is no bridge with the MAC address {wish.mac} and {_stp(wish, 'stp')}"
    own = sections(after.get(f"{PROFILES}/netplan-{port}.nmconnection", ""))
    if not {f"master={wish.bridge}", f"controller={wish.bridge}"} & {line for _, lines in own for line in lines}:
        yield f"{port} is no port of {wish.bridge}"
    if left := [line for _, lines in _families(own) for line in lines if line not in NO_ADDRESS]:
        yield f"{port} keeps {', '.join(left)}"
    had = sections(before.get(f"{PROFILES}/netplan-{port}.nmconnection", ""))
    if had:
        yield from _differences(wish.bridge, _families(had), _without_pins(_families(bridge), _families(had)))


def _stp(wish: Wish, key: str) -> str:
    return f"{key}={'true' if wish.stp else 'false'}"


def _layer3(text: str) -> list[Section]:
    kept = [
        (name, tuple(line for line in lines if not line.startswith(NOT_LAYER3)))
        for name, lines in sections(text)
        if name not in LOWER
    ]
    return sorted((name, _once(lines)) for name, lines in kept if lines)


def _families(found: list[Section]) -> list[Section]:
    return sorted((name, _once(lines)) for name, lines in found if name in {"ipv4", "ipv6"})


def _without_pins(found: list[Section], had: list[Section]) -> list[Section]:
    """A bridge has another default for the metric of its routes than an Ethernet link."""
    said = {line.partition("=")[0] for _, lines in had for line in lines}
    pins = tuple(f"{name}=" for name in {"route-metric"} - said)
    return [(name, tuple(line for line in lines if not line.startswith(pins))) for name, lines in found]


def _once(lines: tuple[str, ...]) -> tuple[str, ...]:
    """A bridge that stands before its port is read twice by netplan 0.106, and has its name servers twice."""
    named = (line.partition("=") for line in lines)
    return tuple(sorted({f"{key}={' '.join(dict.fromkeys(LISTED.split(value)))}".strip() for key, _, value in named}))


def _differences(bridge: str, had: list[Section], has: list[Section]) -> Iterator[str]:
    for name, lines in had:
        if (name, lines) not in has:
            yield f"{bridge} lacks [{name}] {' '.join(lines)}"
    for name, lines in has:
        if (name, lines) not in had:
            yield f"{bridge} has [{name}] {' '.join(lines)}, which its port did not have"


def _bystanders(before: Files, after: Files, mine: set[str]) -> Iterator[str]:
    """Files of other links, which have no part in this."""
    own = {f"{NETWORKD}/10-netplan-{name}.{kind}" for name in mine for kind in ("netdev", "network")}
    own |= {f"{PROFILES}/netplan-{name}.nmconnection" for name in mine}
    for path in sorted((before.keys() | after.keys()) - own):
        if before.get(path) != after.get(path):
            yield f"{path} changes too"


def _taken(after: Files, wish: Wish) -> Iterator[str]:
    """The bridge has its port's MAC address: a rule for that address must not take the bridge for the port.

    netplan before 0.105 writes MACAddress= there, later ones PermanentMACAddress=, which a bridge does not have.
    networkd takes the first file in order; udev has none for a bridge but these.
    """
    bridge = f"10-netplan-{wish.bridge}.network"
    for path, text in after.items():
        name = path.rpartition("/")[2]
        match = next((lines for section, lines in sections(text) if section == "Match"), ())
        by_mac = f"macaddress={wish.mac}" in {line.lower() for line in match}
        narrow = any(line.startswith(("Name=", "Type=", "Driver=")) for line in match)
        if by_mac and not narrow and (name.endswith(".link") or name < bridge):
            yield f"{name} would take {wish.bridge} for its port, by the MAC address: add set-name to the port"
