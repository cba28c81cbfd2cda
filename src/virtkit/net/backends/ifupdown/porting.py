"""One more port of a bridge that these files make, and one less: bridge_ports, bridge-utils-interfaces(5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.backends.ifupdown.bridging import Draft
from virtkit.net.backends.ifupdown.syntax import Line, without

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.backends.ifupdown.syntax import Stanza
    from virtkit.net.backends.ifupdown.tree import Tree

NONE = "none"
PATTERNS = {"all", "regex", "noregex", "glob"}


def joined(tree: Tree, bridge: str, port: str) -> dict[str, str]:
    """The files that change. NotSupportedError: the port has addresses of its own there, or patterns name the ports."""
    for stanza in tree.named(port):
        if stanza.method not in ("manual", ""):
            found = f"{port} is {stanza.method}, expected manual for a bridge's port"
            raise NotSupportedError(f"{stanza.place}: {found}", hint=f"iface {port} {stanza.family} manual")
    draft = Draft(tree)
    for stanza, index, line in _port_lines(tree, bridge):
        if port not in line.words[1:]:
            last = len(line.words) - 1
            named = port if line.words[last] == NONE else f"{line.words[last]} {port}"
            draft.set(stanza.path, index, line.with_word(last, named))
    return draft.texts()


def parted(tree: Tree, bridge: str, port: str) -> dict[str, str]:
    """As :func:`joined`; the port's own stanza stays, without addresses as it is."""
    draft = Draft(tree)
    for stanza, index, line in _port_lines(tree, bridge):
        if line.words[1:] == [port]:
            draft.set(stanza.path, index, line.with_word(1, NONE))
        elif port in line.words[1:]:
            draft.set(stanza.path, index, without(line, port).raw)
    return draft.texts()


def _port_lines(tree: Tree, bridge: str) -> Iterator[tuple[Stanza, int, Line]]:
    found = False
    for stanza in tree.named(bridge):
        for index, line in stanza.options:
            if line.keyword.replace("-", "_") != "bridge_ports":
                continue
            found = True
            if patterns := [
                word for word in line.words[1:] if word in PATTERNS or not word.isascii() or set("*?[") & set(word)
            ]:
                place = f"{stanza.path}:{line.number}"
                raise NotSupportedError(f"{place}: bridge_ports has {patterns[0]}, expected names of links alone")
            if len(line.words) > 1:
                yield stanza, index, line
    if not found:
        place = next((stanza.place for stanza in tree.named(bridge)), "/etc/network/interfaces")
        raise NotSupportedError(f"{place}: {bridge} has no bridge_ports, expected the bridge's ports there")
