"""What these files cannot say, or would say otherwise after a rewrite: refused by name, with the place."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.net.backends.ifupdown.syntax import matches

if TYPE_CHECKING:
    from virtkit.net.backends.ifupdown.syntax import Stanza
    from virtkit.net.backends.ifupdown.tree import Tree

BRIDGE_OPTION = re.compile(r"bridge[-_].*")
METHODS = {"inet": {"static", "dhcp", "manual", "bootp"}, "inet6": {"static", "auto", "dhcp", "manual"}, "": {""}}


def check_link(tree: Tree, port: str, bridge: str) -> None:
    """``port`` is plainly defined, and nothing else in the files counts on it as it is. VLANs on it go on working."""
    for stanza in tree.named(port):
        _check_plain(stanza)
        for _, line in stanza.options:
            if BRIDGE_OPTION.fullmatch(line.keyword):
                reason = f"{line.text}: {port} is a bridge, or a bridge's port, already"
                raise BusyError(f"{stanza.path}:{line.number}: {reason}")
    _check_mappings(tree, port, bridge)
    for stanza in tree.stanzas():
        name = stanza.name
        for value in stanza.values("bridge_ports", "slaves", "bond_slaves", "ovs_ports"):
            if port in value.split():
                raise BusyError(f"{stanza.place}: {port} is a port of {name} already")
        if stanza.header.words[-2:] == ["inherits", port]:
            raise NotSupportedError(f"{stanza.place}: {name} inherits {port}'s options, which move to {bridge}")
    for path, _, line in tree.selections():
        if line.keyword == "no-scripts" and any(matches(word, bridge) for word in line.words[1:]):
            raise NotSupportedError(f"{path}:{line.number}: no scripts for {bridge}, but a script makes the bridge")


def check_bridge(tree: Tree, bridge: str, port: str) -> None:
    """``bridge`` is one over ``port`` alone, and ``port`` has nothing of its own but its hardware's settings."""
    for stanza in tree.named(bridge):
        _check_plain(stanza)
    places = [stanza.place for stanza in tree.named(bridge)]
    ports = [word for stanza in tree.named(bridge) for value in stanza.values("bridge_ports") for word in value.split()]
    if ports != [port]:
        raise NotSupportedError(f"{places[0]}: bridge_ports is {' '.join(ports) or 'missing'}, expected {port} alone")
    for stanza in tree.named(port):
        if stanza.method not in ("manual", ""):
            raise NotSupportedError(f"{stanza.place}: {port} is {stanza.method}, expected manual for a bridge's port")


def _check_plain(stanza: Stanza) -> None:
    if "inherits" in stanza.header.words:
        raise NotSupportedError(
            f"{stanza.place}: {stanza.name} inherits the options of another stanza",
            hint=f"write them out in {stanza.path}, as ifquery {stanza.name} shows them",
        )
    if stanza.method not in METHODS.get(stanza.family, set()):
        known = "static, dhcp, auto or manual"
        raise NotSupportedError(
            f"{stanza.place}: method of {stanza.name} is {stanza.method or 'missing'}, expected {known}"
        )


def _check_mappings(tree: Tree, port: str, bridge: str) -> None:
    """What a mapping's script answers at the next start is known at the next start."""
    for mapping in tree.stanzas("mapping"):
        for pattern in mapping.header.words[1:]:
            for name in (port, bridge):
                if fnmatchcase(name, pattern):
                    raise NotSupportedError(f"{mapping.place}: a mapping ({pattern}) decides what {name} is")
    for path, _, line in tree.selections():
        for word in line.words[1:]:
            if "=" in word and line.keyword != "rename" and (matches(word, port) or matches(word, bridge)):
                raise NotSupportedError(
                    f"{path}:{line.number}: {word} makes a link another one, expected its name alone"
                )
