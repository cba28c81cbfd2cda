"""What an administrator's ``up`` and ``down`` lines do: set the hardware (stays with the port), or layer 3 (moves)."""

from __future__ import annotations

import os
import re
from enum import Enum
from typing import TYPE_CHECKING

from virtkit.core.errors import NotSupportedError
from virtkit.net.naming import named

if TYPE_CHECKING:
    from collections.abc import Iterator

HARDWARE = {"ethtool", "ifenslave", "iw", "iwconfig", "mii-diag", "mii-tool", "tc", "vconfig", "wpa_supplicant"}
LAYER3 = {
    "arp",
    "arping",
    "echo",
    "ip",
    "ip6tables",
    "ip6tables-legacy",
    "iptables",
    "iptables-legacy",
    "logger",
    "nft",
    "printf",
    "resolvconf",
    "resolvectl",
    "route",
    "sysctl",
}
HARDWARE_OBJECTS = ("link", "l", "li", "lin")  # of ip: abbreviations as its matches() takes them
_SEPARATOR = re.compile(r"&&|\|\||[;|&\n]")
_PREFIX = re.compile(r"(?:\w+=\S*|!|sudo|nice|if|then|else|do|exec|\(|\{)\s+")


class Belongs(Enum):
    PORT = "port"
    BRIDGE = "bridge"


def belongs(command: str, name: str, place: str) -> Belongs:
    """NotSupportedError for a command that names the link and could be either."""
    kinds = {kind for part in _SEPARATOR.split(command) for kind in _kinds(part, name)}
    literally = bool(named(name).search(command))
    if kinds == {Belongs.PORT}:
        return Belongs.PORT
    if literally and kinds != {Belongs.BRIDGE}:
        raise NotSupportedError(
            f"{place}: names {name} in a command that could mean it or the bridge: {command}",
            hint=f"write $IFACE for {name} there: it is the name of the link that the line stands for",
        )
    return Belongs.BRIDGE


def _kinds(part: str, name: str) -> Iterator[Belongs | None]:
    """Nothing for a command that does not name the link."""
    if not named(name).search(part) and not re.search(r"\$\{?IFACE\b", part):
        return
    words = _stripped(part).split()
    program = os.path.basename(words[0]) if words else ""
    if program in HARDWARE or (program == "ip" and _object(words) in HARDWARE_OBJECTS):
        yield Belongs.PORT
    elif program in LAYER3:
        yield Belongs.BRIDGE
    elif named(name).search(part):
        yield None


def _stripped(part: str) -> str:
    part = part.strip()
    while found := _PREFIX.match(part):
        part = part[found.end() :]
    return part


def _object(words: list[str]) -> str:
    return next((word for word in words[1:] if not word.startswith("-")), "")
