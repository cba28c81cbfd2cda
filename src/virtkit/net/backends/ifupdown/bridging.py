"""A link's stanzas become the bridge's, line for line; the link keeps what is its hardware's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.net.backend import STANDARD_MTU
from virtkit.net.backends.ifupdown import commands
from virtkit.net.backends.ifupdown.checks import BRIDGE_OPTION, check_bridge, check_link
from virtkit.net.backends.ifupdown.syntax import COMMANDS, Line, matches, without
from virtkit.net.naming import renamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.backend import Wish
    from virtkit.net.backends.ifupdown.syntax import Stanza
    from virtkit.net.backends.ifupdown.tree import Tree

# Of ethtool, ifenslave, vlan and ifupdown2's addons: they set up the link itself, below the bridge.
HARDWARE = re.compile(
    r"hwaddress|media|description|alias|slaves|"
    r"(?:bond|vlan|team|link|ethernet|ethtool|hardware|offload|driver|flow-control|gro|gso|tso|ufo|lro|wireless|wpa)-.*"
)


@dataclass(frozen=True)
class Dialect:
    """Both read ``-`` for ``_``; Debian's hooks are documented with the one, ifupdown2 knows only the other."""

    separator: str  # in bridge_ports
    mac: str  # the option that pins a bridge's MAC address


DEBIAN, IFUPDOWN2 = Dialect("_", "bridge_hw"), Dialect("-", "hwaddress")


class Draft:
    """The tree's lines, some of them written anew."""

    def __init__(self, tree: Tree) -> None:
        self._was = {path: [line.raw for line in document.lines] for path, document in tree.documents.items()}
        self._now = {path: list(raws) for path, raws in self._was.items()}

    def set(self, path: str, index: int, raw: str) -> None:
        self._now[path][index] = raw

    def before(self, path: str, index: int, text: str) -> None:
        self._now[path][index] = text + self._now[path][index]

    def after(self, path: str, index: int, text: str) -> None:
        """A file may end without a newline."""
        raw = self._now[path][index]
        self._now[path][index] = (raw if not raw or raw.endswith("\n") else raw + "\n") + text

    def texts(self) -> dict[str, str]:
        """The files that are different now."""
        return {path: "".join(raws) for path, raws in self._now.items() if raws != self._was[path]}


def bridged(tree: Tree, wish: Wish, dialect: Dialect) -> dict[str, str]:
    """The files that change. NotSupportedError, BusyError: what these files cannot say, and where."""
    if _stands(tree, wish):
        return {}
    check_link(tree, wish.port, wish.bridge)
    draft = Draft(tree)
    first, *more = tree.named(wish.port)
    kept = [line for stanza in (first, *more) for line in _moved(draft, stanza, wish.port, wish.bridge)]
    mtu = [value for stanza in (first, *more) for value in stanza.values("mtu")][:1]
    if not mtu and wish.mtu != STANDARD_MTU:
        mtu = [str(wish.mtu)]
        draft.after(first.path, first.start, f"{indent(first)}mtu {mtu[0]}\n")
    draft.after(first.path, first.start, _bridge_options(wish, dialect, indent(first)))
    family = f" {first.family} manual" if first.family == "inet" else " inet manual" if first.family else ""
    lines = [*kept, *(f"{indent(first)}mtu {value}\n" for value in mtu)]
    draft.before(first.path, first.start, f"iface {wish.port}{family}\n{''.join(map(ended, lines))}\n")
    _alias(tree, draft, wish.port, wish.bridge)
    _select(tree, draft, wish.port, wish.bridge)
    return draft.texts()


def released(tree: Tree, bridge: str, port: str) -> dict[str, str]:
    """The way back. NotSupportedError for a bridge that is more than one over this port."""
    check_bridge(tree, bridge, port)
    draft = Draft(tree)
    kept = []
    for stanza in tree.named(port):
        kept += [line for _, line in stanza.options]
        for index in (stanza.start, *(index for index, _ in stanza.options)):
            draft.set(stanza.path, index, "")
        _close_gap(tree, draft, stanza)
    first, *more = tree.named(bridge)
    for stanza in (first, *more):
        _renamed(draft, stanza, bridge, port)
        for index, line in stanza.options:
            if BRIDGE_OPTION.fullmatch(line.keyword) or line.keyword == "hwaddress":
                draft.set(stanza.path, index, "")
    own = {line.keyword for stanza in (first, *more) for _, line in stanza.options if line.keyword == "mtu"}
    back = "".join(ended(line.raw) for line in kept if line.keyword not in own)
    draft.after(first.path, first.start, back)
    _alias(tree, draft, bridge, port)
    _unselect(tree, draft, bridge, port)
    return draft.texts()


def indent(stanza: Stanza) -> str:
    for _, line in stanza.options:
        return line.raw[: len(line.raw) - len(line.raw.lstrip(" \t"))]
    return "\t"


def ended(raw: str) -> str:
    return raw if raw.endswith("\n") else raw + "\n"


def _stands(tree: Tree, wish: Wish) -> bool:
    """Whether the files say so already. BusyError where they say something else of the bridge."""
    found = tree.named(wish.bridge)
    if not found:
        return False
    ports = [word for stanza in found for value in stanza.values("bridge_ports") for word in value.split()]
    if ports == [wish.port] and all(stanza.method in ("manual", "") for stanza in tree.named(wish.port)):
        return True
    is_what = f"a bridge over {' '.join(ports)}" if ports else "a link"
    raise BusyError(f"{found[0].place}: {wish.bridge} is {is_what} already, expected a free name")


def _bridge_options(wish: Wish, dialect: Dialect, margin: str) -> str:
    options = {"ports": wish.port, "stp": "on" if wish.stp else "off", "fd": wish.forward_delay, "maxwait": 0}
    lines = [f"bridge{dialect.separator}{name} {value}" for name, value in options.items()]
    return "".join(f"{margin}{line}\n" for line in (*lines, f"{dialect.mac} {wish.mac}"))


def _moved(draft: Draft, stanza: Stanza, port: str, bridge: str) -> Iterator[str]:
    """The stanza is the bridge's now; what is left over are the port's own lines."""
    draft.set(stanza.path, stanza.start, stanza.header.with_word(1, bridge))
    for index, line in stanza.options:
        place = f"{stanza.path}:{line.number}"
        if line.keyword in COMMANDS:
            if commands.belongs(line.rest, port, place) is commands.Belongs.BRIDGE:
                draft.set(stanza.path, index, renamed(line.raw, port, bridge))
                continue
        elif not HARDWARE.fullmatch(line.keyword.replace("_", "-")):
            continue
        draft.set(stanza.path, index, "")
        yield line.raw


def _renamed(draft: Draft, stanza: Stanza, old: str, new: str) -> None:
    """The stanza and the commands in it speak of another link."""
    draft.set(stanza.path, stanza.start, stanza.header.with_word(1, new))
    for index, line in stanza.options:
        if line.keyword not in COMMANDS:
            continue
        if commands.belongs(line.rest, old, f"{stanza.path}:{line.number}") is commands.Belongs.PORT:
            raise NotSupportedError(f"{stanza.path}:{line.number}: sets up {old} itself, which shall go: {line.rest}")
        draft.set(stanza.path, index, renamed(line.raw, old, new))


def _alias(tree: Tree, draft: Draft, old: str, new: str) -> None:
    """``eth0:1`` is an address of ``eth0`` with a name."""
    for stanza in tree.stanzas():
        if stanza.name.startswith(f"{old}:"):
            _renamed(draft, stanza, stanza.name, new + stanza.name[len(old) :])


def _select(tree: Tree, draft: Draft, port: str, bridge: str) -> None:
    """The bridge comes up with ``ifup -a``: no device's plugging in (allow-hotplug) ever brings up a bridge."""
    automatic, late = False, list[str]()
    where: tuple[str, int] | None = None
    for path, index, line in tree.selections():
        selected = line
        if line.keyword in ("auto", "allow-auto", "no-auto-down") and port in line.words[1:]:
            automatic = automatic or line.keyword != "no-auto-down"
            selected = Line(line.with_word(line.words.index(port), f"{port} {bridge}"), line.number)
        elif line.keyword == "allow-hotplug" and any(matches(word, port) for word in line.words[1:]):
            where = where or (path, index)
            for alias in [word for word in line.words[1:] if word.startswith(f"{port}:")]:
                selected, late = without(selected, alias), [*late, bridge + alias[len(port) :]]
        draft.set(path, index, _aliases_renamed(selected, port, bridge))
    names = " ".join([*([] if automatic else [bridge]), *late])
    if names and where:
        draft.after(*where, f"auto {names}\n")
    elif names:
        first = tree.named(port)[0]
        draft.before(first.path, first.start, f"auto {names}\n")


def _unselect(tree: Tree, draft: Draft, bridge: str, port: str) -> None:
    selected = any(matches(word, port) for _, _, line in tree.selections() for word in line.words[1:])
    for path, index, line in tree.selections():
        kept = line
        if bridge in line.words[1:]:
            if port in line.words[1:] or selected:
                kept = without(line, bridge)
            else:
                kept = Line(line.with_word(line.words.index(bridge), port), line.number)
        draft.set(path, index, _aliases_renamed(kept, bridge, port))


def _aliases_renamed(line: Line, old: str, new: str) -> str:
    return re.sub(rf"(?<=[ \t]){re.escape(old)}(?=:\w)", new, line.raw)


def _close_gap(tree: Tree, draft: Draft, stanza: Stanza) -> None:
    """The empty line that set the stanza apart from the next."""
    lines = tree.documents[stanza.path].lines
    after = max([stanza.start, *(index for index, _ in stanza.options)]) + 1
    if after < len(lines) and not lines[after].raw.strip():
        draft.set(stanza.path, after, "")
