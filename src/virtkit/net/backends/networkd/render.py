"""The files for a bridge over a port, beside those that are there: none of them is changed.

A file that is for this one port alone goes on to say what it says, for the bridge: a drop-in of ours gives it the
bridge to match, and what the administrator changes there later counts as before. A file that is for other links too,
or that says what belongs to a port (queueing, VLANs on it), is left to the others: two files of ours, tried before it,
say for the bridge and for the port what it said for both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.backend import STANDARD_MTU, File
from virtkit.net.networkd import unitfile
from virtkit.net.networkd.found import PLACE, plain_mac
from virtkit.net.networkd.unitfile import Entry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from virtkit.net.backend import Wish
    from virtkit.net.networkd.found import NetworkFile

PREFIXES = ("10-virtkit-", "00-virtkit-", "0-virtkit-", "!virtkit-")  # tried in this order
UNDOING = "# It is taken away by: virtkit net bridge delete "
SELECTING = {
    "BSSID", "Driver", "Kind", "MACAddress", "Name", "Path", "PermanentMACAddress", "Property", "SSID", "Type",
    "WLANInterfaceType",
}  # fmt: skip
OF_A_PORT = {
    "Bridge", "BridgeFDB", "BridgeMDB", "BridgeVLAN", "CAN", "IPoIB", "SR-IOV",
    # systemd.network(5) from [QDisc] on: how the port's queue works
    "BFIFO", "CAKE", "ControlledDelay", "DeficitRoundRobinScheduler", "DeficitRoundRobinSchedulerClass",
    "EnhancedTransmissionSelection", "FairQueueing", "FairQueueingControlledDelay", "FlowQueuePIE",
    "GenericRandomEarlyDetection", "HeavyHitterFilter", "HierarchyTokenBucket", "HierarchyTokenBucketClass",
    "NetworkEmulator", "PFIFO", "PFIFOFast", "PFIFOHeadDrop", "PIE", "QDisc", "QuickFairQueueing",
    "QuickFairQueueingClass", "StochasticFairBlue", "StochasticFairnessQueueing", "TokenBucketFilter",
    "TrivialLinkEqualizer",
}  # fmt: skip
NETWORK_KEYS_OF_A_PORT = {"LLDP", "EmitLLDP", "VLAN"}
LINK_KEYS_OF_BOTH = {"MTUBytes", "MACAddress"}
ON_TOP = {"MACVLAN", "MACVTAP", "IPVLAN", "IPVTAP"}
NAMING_LINKS = {
    ("Address", "Label"),  # eth0:1
    ("Route", "MultiPathRoute"),  # 10.9.0.2@eth0
    ("RoutingPolicyRule", "IncomingInterface"),
    ("RoutingPolicyRule", "OutgoingInterface"),
}


def files(wish: Wish, source: NetworkFile, prefix: str, iaid: int | None, *, alone: bool) -> tuple[File, ...]:
    """``alone``: ``source`` can serve the bridge as it is. ``iaid``: to be given to the DHCP clients, None: none."""
    body = _drop_in(wish, source, iaid) if alone else _bridge(wish, source, iaid)
    place = f"{source.name}.d/virtkit-{wish.bridge}.conf" if alone else f"{prefix}{wish.bridge}.network"
    texts = {
        f"{prefix}{wish.bridge}.netdev": _netdev(wish),
        f"{prefix}{wish.port}.network": _port(wish, source),
        place: body,
    }
    head = f"{mark(wish.bridge)} {wish.port}, and has what {source.path} says.\n"
    return tuple(File(f"{PLACE}/{name}", f"{head}{UNDOING}{wish.bridge}\n\n{text}") for name, text in texts.items())


def mark(bridge: str) -> str:
    """The beginning of every file of ours for this bridge."""
    return f"# Written by virtkit: {bridge} is a bridge over"


def prefix_before(names: Iterable[str]) -> str:
    """systemd-networkd takes the first file that matches, in the order of the names."""
    first = min(names)
    for prefix in PREFIXES:
        if f"{prefix}~" < first:
            return prefix
    raise NotSupportedError(f"{first}: no name of ours sorts before it, expected one like 20-lan.network")


def serves_alone(source: NetworkFile, port: str) -> bool:
    """Whether it names one link, and says nothing that belongs to a port."""
    if any(entry.section == "Match" for _, text in source.drop_ins for entry in unitfile.parse(text)):
        return False
    selecting = [key for key in source.matching if key in SELECTING]
    names = source.values("Match", "Name")
    one_name = len(names) == 1 and not set("*?[!") & set(names[0])
    one_mac = "Name" not in selecting and any(len(source.values("Match", key)) == 1 for key in _macs(selecting))
    only = all(key in {"Name", "MACAddress", "PermanentMACAddress"} for key in selecting)
    return (
        only and (one_name or one_mac) and not any(_of_port(entry) or _names(entry, port) for entry in source.entries)
    )


def check(source: NetworkFile) -> None:
    """NotSupportedError for what could not work on a bridge's port, with the line."""
    for entry in source.entries:
        if entry.section == "Network" and entry.key in ON_TOP:
            raise NotSupportedError(f"{source.path}: {entry.key} is {entry.value}, which a bridge's port cannot carry")


def _netdev(wish: Wish) -> str:
    device = f"[NetDev]\nName={wish.bridge}\nKind=bridge\nMACAddress={wish.mac}\n"
    return f"{device}\n[Bridge]\nSTP={'yes' if wish.stp else 'no'}\nForwardDelaySec={wish.forward_delay}\n"


def _port(wish: Wish, source: NetworkFile) -> str:
    """What belongs to the port, and nothing of layer 3."""
    match = "".join(f"{line}\n" for line in _port_match(wish, source))
    link = "".join(f"{key}={value}\n" for key, value in _link(wish, source).items())
    kept = _without_empty_sections(entry for entry in source.entries if _of_port(entry) or _in_port_section(entry))
    network = f"[Network]\nBridge={wish.bridge}\nLinkLocalAddressing=no\n"
    parts = [f"[Match]\n{match}", f"[Link]\n{link}" if link else "", network, unitfile.text_of(kept)]
    return "\n".join(filter(None, parts))


def _port_match(wish: Wish, source: NetworkFile) -> list[str]:
    """As the file found it: a name if it went by that, or the MAC, which must not find the bridge."""
    names = source.values("Match", "Name")
    if len(names) == 1 and not set("*?[!") & set(names[0]):
        return [f"Name={names[0]}"]
    for key in _macs(source.matching):
        if wish.mac in map(plain_mac, source.values("Match", key)):
            return [f"{key}={wish.mac}", f"Name=!{wish.bridge}"]
    return [f"Name={wish.port}"]


def _macs(keys: Iterable[str]) -> list[str]:
    return [key for key in ("PermanentMACAddress", "MACAddress") if key in keys]


def _link(wish: Wish, source: NetworkFile) -> dict[str, str]:
    """For the port as for the bridge."""
    said = {key: found[-1] for key in sorted(LINK_KEYS_OF_BOTH) if (found := source.values("Link", key))}
    return said if "MTUBytes" in said or wish.mtu == STANDARD_MTU else {**said, "MTUBytes": str(wish.mtu)}


def _drop_in(wish: Wish, source: NetworkFile, iaid: int | None) -> str:
    selecting = "".join(f"{key}=\n" for key in source.matching if key in SELECTING)
    match = f"[Match]\n{selecting}Name={wish.bridge}\n"
    return "\n".join([match, *_additions(wish, source, iaid)])


def _bridge(wish: Wish, source: NetworkFile, iaid: int | None) -> str:
    """A copy with another [Match], without what is the port's; what names the port names the bridge."""
    kept = [
        _renamed(entry, wish)
        for entry in source.entries
        if not (entry.section == "Match" and entry.key in SELECTING) and not _of_port(entry)
    ]
    body = unitfile.text_of(_without_empty_sections(kept))
    end = "" if body.endswith("\n") else "\n"
    return "\n".join([f"[Match]\nName={wish.bridge}\n", body + end, *_additions(wish, source, iaid)])


def _additions(wish: Wish, source: NetworkFile, iaid: int | None) -> list[str]:
    """What the link was known by besides the file's words."""
    added = []
    if wish.mtu != STANDARD_MTU and not source.values("Link", "MTUBytes"):
        added.append(f"[Link]\nMTUBytes={wish.mtu}\n")
    if iaid is not None:
        sections = [name for name in ("DHCPv4", "DHCPv6") if not source.values(name, "IAID")]
        added += [f"[{name}]\nIAID={iaid}\n" for name in sections]
    return added


def _of_port(entry: Entry) -> bool:
    return entry.section in OF_A_PORT or (entry.section == "Network" and entry.key in NETWORK_KEYS_OF_A_PORT)


def _in_port_section(entry: Entry) -> bool:
    return entry.section == "Network" and entry.header


def _names(entry: Entry, port: str) -> bool:
    return (entry.section, entry.key) in NAMING_LINKS and port in re.split(r"[@:\s]", entry.value)


def _renamed(entry: Entry, wish: Wish) -> Entry:
    if not _names(entry, wish.port):
        return entry
    key, sign, value = entry.raw.partition("=")
    return entry._replace(raw=key + sign + value.replace(wish.port, wish.bridge, 1))


def _without_empty_sections(entries: Iterable[Entry]) -> list[Entry]:
    """A header without an assignment below it says nothing, except where a comment stands there."""
    kept: list[Entry] = []
    for entry in [*entries, Entry("", "")]:
        if (entry.header or not entry.raw) and kept and kept[-1].header:
            kept.pop()
        kept.append(entry)
    return kept
