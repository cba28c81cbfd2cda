"""Profiles for a bridge and its port out of the one that the link had, and back: text to text.

The link's own profile becomes the port's: its UUID, its comments, and all that is about the device (wake on LAN,
802.1X, VLAN and bond) stay with the device. ``[ipv4]``, ``[ipv6]`` and what else is about layer 3 goes to the bridge
whole. What would turn out otherwise on a link of another name or kind is pinned there, below a comment by which the
way back knows it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virtkit.net.networkmanager.keyfile import Entry, Keyfile, Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.networkmanager.profiles import Profile

LAYER3 = ("ipv4", "ipv6", "proxy", "hostname")
LAYER3_KEYS = frozenset(  # of [connection]
    {
        "dns-over-tls",
        "dnssec",
        "gateway-ping-timeout",
        "ip-ping-addresses",
        "ip-ping-addresses-require-all",
        "ip-ping-timeout",
        "llmnr",
        "mdns",
        "metered",
        "mptcp-flags",
        "secondaries",
        "zone",
    }
)
SHARED_KEYS = frozenset({"autoconnect", "autoconnect-priority", "autoconnect-retries", "permissions", "stable-id"})
PORT_KEYS = frozenset({"controller", "master", "port-type", "slave-type"})
MADE = "made by virtkit out of "
INTERIM, METRIC = "virtkit moves ", "route-metric=100"  # the first begins the id of a profile for a passing moment
PINNED, INSTEAD = "# virtkit: as {} had it", ", instead of "
AUTOMATIC = {"ipv4": ("method=auto",), "ipv6": ("addr-gen-mode=default", "method=auto")}  # what no section stands for
OF_MAC = {"mac"}  # a client identifier that is the same on every link with this MAC address
STANDARD_MTU = 1500
MOST_PRIORITY = 999  # connection.autoconnect-priority


@dataclass(frozen=True)
class Identity:
    """What NetworkManager derives from a link's name, its kind or its profile; 0 and empty: not known, or none."""

    metrics: tuple[int, int] = (0, 0)  # of IPv4 and IPv6 routes whose profile names none
    client_id: str = ""  # DHCP, as 01:52:54:00:aa:00:11
    duid: str = ""  # DHCPv6, likewise
    iaid: str = ""
    token: str = ""  # the lower half of the advertised address, as ::5054:ff:feaa:11


@dataclass(frozen=True)
class Names:
    """What is to be called how, and in which words."""

    bridge: str
    port: str
    mac: str
    mtu: int  # bytes
    modern: bool  # controller and port, not master and slave
    forward_delay: int = 0  # seconds; 0: no STP


def bridge_file(old: Profile, names: Names, identity: Identity, uuid: str) -> Keyfile:
    kept = [entry for part in old.file.named("connection") for entry in part.entries]
    connection = [
        f"id={names.bridge}",
        f"uuid={uuid}",
        "type=bridge",
        f"interface-name={names.bridge}",
        "autoconnect-ports=1" if names.modern else "autoconnect-slaves=1",
        *_lines(entry for entry in kept if entry.key in LAYER3_KEYS | SHARED_KEYS),
    ]
    mtu = old.file.get("ethernet", "mtu") or (str(names.mtu) if names.mtu != STANDARD_MTU else "")
    ethernet = [f"cloned-mac-address={names.mac.upper()}", *([f"mtu={mtu}"] if mtu else [])]
    made = Keyfile(f"# {names.bridge} over {names.port}: {MADE}{old.path}\n", ())
    spanning = [f"forward-delay={names.forward_delay}", "stp=true"] if names.forward_delay else ["stp=false"]
    made = made.extended("connection", connection).extended("ethernet", ethernet).extended("bridge", spanning)
    return _pinned(made.plus(_layer3(old.file)), names.port, identity).closed()


def origin(bridge: Profile) -> str:
    """The path of what it was made out of; empty where its first line does not say so any more."""
    return bridge.file.preface.partition("\n")[0].partition(MADE)[2]


def port_file(old: Profile, names: Names) -> Keyfile:
    """``old`` itself, changed: for a profile that is for this link alone."""
    return _joined(old.file, names).closed()


def new_port_file(old: Profile, names: Names, uuid: str) -> Keyfile:
    """One beside ``old``, which other links may use too, or which does not last. It goes before it on this link."""
    priority = min(int(old.file.get("connection", "autoconnect-priority", "0")) + 1, MOST_PRIORITY)
    connection = [
        f"id={names.bridge}-port-{names.port}",
        f"uuid={uuid}",
        f"type={old.type}",
        f"interface-name={names.port}",
        f"autoconnect-priority={priority}",
    ]
    device = [part for part in old.file.sections if part.name not in ("connection", "user") and part.name[0] != "."]
    return _joined(Keyfile("", ()).extended("connection", connection).plus(device), names).closed()


def released_file(port: Profile, bridge: Profile) -> Keyfile:
    """The port stands alone, and has what the bridge's profile says by now."""
    moved = [entry for part in bridge.file.named("connection") for entry in part.entries if entry.key in LAYER3_KEYS]
    alone = port.file.mapped("connection", lambda part: part.without(lambda entry: entry.key in PORT_KEYS))
    alone = alone.without(*LAYER3).extended("connection", _lines(moved))
    return alone.plus(map(_unpinned, _layer3(bridge.file))).closed()


def interim_bridge_file(bridge: str, mac: str, mtu: int, ipv6: Keyfile | None) -> Keyfile:
    """For the moment before a port joins: NetworkManager has the bridge, and puts nothing on it.

    ``ipv6`` is the profile that the bridge will have, or that its port has; ``mtu`` is in bytes.
    """
    connection = [f"id={INTERIM}{bridge}", "type=bridge", f"interface-name={bridge}", "autoconnect=false"]
    made = Keyfile("", ()).extended("connection", connection)
    made = made.extended("ethernet", [f"cloned-mac-address={mac.upper()}", f"mtu={mtu}"])
    return _holding_nothing(made.extended("bridge", ["forward-delay=0", "stp=false"]), ipv6)


def interim_port_file(alone: Keyfile, port: str) -> Keyfile:
    """For the moment before a port leaves its bridge: ``alone`` is what it will have then."""
    named = alone.mapped("connection", lambda part: part.without(lambda entry: entry.key in {"id", *PORT_KEYS}))
    named = named.extended("connection", [f"id={INTERIM}{port}"])
    return _holding_nothing(named.without(*LAYER3), alone)


def interim_dying_file(bridge: Keyfile) -> Keyfile:
    """What NetworkManager does not make again when its bridge is deleted."""
    still = bridge.mapped("connection", lambda part: part.without(lambda entry: entry.key == "autoconnect"))
    return still.extended("connection", ["autoconnect=false"])


def _holding_nothing(file: Keyfile, later: Keyfile | None) -> Keyfile:
    """IPv6 is in NetworkManager's hands already if it will be: taking it later costs all addresses for a moment.

    A metric of no route, so that NetworkManager chooses none now: it would avoid that of the link that gives.
    """
    method = method_of(later, "ipv6") if later else "ignore"
    ipv6 = [f"method={method}"]
    if later and method not in {"ignore", "disabled"}:
        mode = later.get("ipv6", "addr-gen-mode")
        ipv6 = ["method=link-local", *([f"addr-gen-mode={mode}"] if mode else [])]
    return file.extended("ipv4", ["method=disabled", METRIC]).extended("ipv6", [*ipv6, METRIC])


def method_of(file: Keyfile, section: str) -> str:
    """A profile without the section is an automatic one."""
    return file.get(section, "method", "auto")


def _joined(file: Keyfile, names: Names) -> Keyfile:
    words = ("controller", "port-type") if names.modern else ("master", "slave-type")
    moved = LAYER3_KEYS | PORT_KEYS
    bare = file.without(*LAYER3).mapped("connection", lambda part: part.without(lambda entry: entry.key in moved))
    return bare.extended("connection", [f"{words[0]}={names.bridge}", f"{words[1]}=bridge"])


def _layer3(file: Keyfile) -> list[Section]:
    return [part for part in file.sections if part.name in LAYER3]


def _lines(entries: Iterator[Entry] | list[Entry]) -> list[str]:
    return [entry.raw.removesuffix("\n") for entry in entries]


def _pinned(file: Keyfile, port: str, identity: Identity) -> Keyfile:
    for section, pins in (("ipv4", _pins4(file, identity)), ("ipv6", _pins6(file, identity))):
        if pins and not file.named(section):
            file = file.extended(section, AUTOMATIC[section])
        known = {entry.key for part in file.named(section) for entry in part.entries}
        file = file.mapped(section, lambda part, pins=dict(pins): _replaced(part, port, pins))  # type: ignore[misc]  # bound now, not later
        new = [f"{PINNED.format(port)}\n{key}={value}" for key, value in pins if key not in known]
        file = file.extended(section, new) if new else file
    return file


def _replaced(part: Section, port: str, pins: dict[str, str]) -> Section:
    """Pins in the place of what the profile had: the comment keeps that for the way back."""
    entries = (_instead(entry, port, pins[entry.key]) if entry.key in pins else entry for entry in part.entries)
    return replace(part, entries=tuple(entries))


def _instead(entry: Entry, port: str, value: str) -> Entry:
    above, line = _parted(entry)
    return Entry(f"{above}{PINNED.format(port)}{INSTEAD}{line}\n{entry.key}={value}\n", entry.key, value)


def _unpinned(part: Section) -> Section:
    entries = []
    for entry in part.entries:
        above, _ = _parted(entry)
        comment = above.removesuffix("\n").rpartition("\n")[2]
        if not comment.startswith(PINNED.partition("{")[0]):
            entries.append(entry)
        elif INSTEAD in comment:
            line = comment.partition(INSTEAD)[2]
            entries.append(Entry(above.removesuffix(f"{comment}\n") + f"{line}\n"))
    return replace(part, entries=tuple(entries))


def _parted(entry: Entry) -> tuple[str, str]:
    """The comments above a key, and its line without the end."""
    above, end, line = entry.raw.removesuffix("\n").rpartition("\n")
    return above + end, line


def _pins4(file: Keyfile, identity: Identity) -> list[tuple[str, str]]:
    method = method_of(file, "ipv4")
    pins = _metric(file, "ipv4", identity) if method in {"auto", "manual"} else []
    known = file.get("ipv4", "dhcp-client-id")
    if method == "auto" and identity.client_id and known not in OF_MAC and ":" not in known:
        pins.append(("dhcp-client-id", identity.client_id))
    return pins


def _pins6(file: Keyfile, identity: Identity) -> list[tuple[str, str]]:
    method = method_of(file, "ipv6")
    pins = _metric(file, "ipv6", identity) if method in {"auto", "dhcp", "manual"} else []
    if method in {"auto", "dhcp"}:
        if identity.duid and ":" not in file.get("ipv6", "dhcp-duid"):
            pins.append(("dhcp-duid", identity.duid))
        if identity.iaid and not file.get("ipv6", "dhcp-iaid").isdecimal():
            pins.append(("dhcp-iaid", identity.iaid))
    eui64 = file.named("ipv6") and file.get("ipv6", "addr-gen-mode", "eui64") in {"eui64", "0"}
    if method == "auto" and identity.token and not eui64 and not file.get("ipv6", "token"):
        pins += [("addr-gen-mode", "eui64"), ("token", identity.token)]
    return pins


def _metric(file: Keyfile, section: str, identity: Identity) -> list[tuple[str, str]]:
    metric = identity.metrics[section == "ipv6"]
    said = file.get(section, "route-metric", "-1") != "-1"
    return [("route-metric", str(metric))] if metric and not said else []
