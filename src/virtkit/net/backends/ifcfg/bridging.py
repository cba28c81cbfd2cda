"""A link's layer 3 moves to a file of the bridge's, line for line; what else its file says stays where it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import BusyError, NotSupportedError
from virtkit.net.backend import STANDARD_MTU, File
from virtkit.net.backends.ifcfg.checks import check_alone, check_bridge, check_link
from virtkit.net.backends.ifcfg.folder import NETWORK, ROUTES6, SCRIPTS
from virtkit.net.backends.ifcfg.keys import BOTH, BRIDGE, LAYER3, NAMES_LINK
from virtkit.net.backends.ifcfg.shell import Line, ShellFile, assignment, joined, read
from virtkit.net.naming import renamed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from virtkit.net.backend import Wish
    from virtkit.net.backends.ifcfg.folder import Folder

PINNED = ("STP", "DELAY", "MACADDR")
STEERED = ("stp_state", "forward_delay")  # of BRIDGING_OPTS: written to the kernel after STP and DELAY


def bridged(folder: Folder, wish: Wish) -> tuple[File, ...]:
    """NotSupportedError, BusyError: what these files cannot say, and where."""
    port = _defined(folder, wish.port)
    if port.known("BRIDGE") == wish.bridge:
        return _improved(folder, wish)
    check_link(folder, port, wish)
    mtu = [] if port.known("MTU") or wish.mtu == STANDARD_MTU else [assignment("MTU", str(wish.mtu))]
    return (
        File(port.path, _port_text(port, wish.bridge, mtu)),
        File(f"{SCRIPTS}/ifcfg-{wish.bridge}", _bridge_text(port, wish, mtu), folder.mode(port.path)),
        *_renamed_files(folder, port, wish.port, wish.bridge),
        *_named_elsewhere(folder, wish.port, wish.bridge),
    )


def released(folder: Folder, bridge: str, port_name: str) -> tuple[File, ...]:
    """The way back. NotSupportedError for a bridge that is more than one over this port."""
    file, port = _defined(folder, bridge), _defined(folder, port_name)
    check_bridge(folder, file, port, bridge)
    back = [_moved(line, bridge, port_name) for line in file.lines if _comes_back(line)]
    kept = [line.raw for line in port.lines if line.key not in ("BRIDGE", "BOOTPROTO")]
    return (
        File(port.path, joined([*kept, *back])),
        File(file.path, None),
        *_renamed_files(folder, file, bridge, port_name),
        *_named_elsewhere(folder, bridge, port_name),
    )


def _defined(folder: Folder, link: str) -> ShellFile:
    file = folder.of(link)
    if file is None:
        raise NotSupportedError(f"{link}: no file in {SCRIPTS} defines it")
    return file


def _port_text(port: ShellFile, bridge: str, mtu: list[str]) -> str:
    """BOOTPROTO stays, with another value; the port gets no address."""
    raws, first = [], True
    for line in port.lines:
        if line.key == "BOOTPROTO" and first:
            raws.append(assignment("BOOTPROTO", "none"))
            first = False
        elif not LAYER3.fullmatch(line.key):
            raws.append(line.raw)
    end = [assignment("BOOTPROTO", "none")] if first else []
    return joined([*raws, *end, *mtu, assignment("BRIDGE", bridge)])


def _bridge_text(port: ShellFile, wish: Wish, mtu: list[str]) -> str:
    head = {"DEVICE": wish.bridge, "TYPE": "Bridge", **_pins(wish)}
    both = [line.raw for line in port.lines if line.key in BOTH]
    onboot = [] if any(line.key == "ONBOOT" for line in port.lines) else [assignment("ONBOOT", "yes")]
    moved = [_moved(line, wish.port, wish.bridge) for line in port.lines if LAYER3.fullmatch(line.key)]
    return joined([*(assignment(key, value) for key, value in head.items()), *onboot, *both, *mtu, *moved])


def _moved(line: Line, old: str, new: str) -> str:
    return assignment(line.key, new) if line.key in NAMES_LINK and line.value == old else line.raw


def _comes_back(line: Line) -> bool:
    return bool(line.key) and line.key not in (*BRIDGE, *BOTH)


def _improved(folder: Folder, wish: Wish) -> tuple[File, ...]:
    """Somebody wrote the pair by hand: what it lacks for a bridge like the one that stands is put in."""
    file = folder.of(wish.bridge)
    if file is None:
        raise BusyError(f"{wish.port}: is a port of {wish.bridge}, but no file in {SCRIPTS} defines {wish.bridge}")
    check_alone(folder, wish.bridge, wish.port)
    wanted = _pins(wish)
    right = [key for key in PINNED if file.known(key).lower() == wanted[key] or (key == "STP" and _stp(file, wish))]
    raws = [_steered(line) for line in file.lines if line.key in right or line.key not in PINNED]
    text = joined([*raws, *(assignment(key, wanted[key]) for key in PINNED if key not in right)])
    return () if text == joined(line.raw for line in file.lines) else (File(file.path, text),)


def _pins(wish: Wish) -> dict[str, str]:
    return {"STP": "yes" if wish.stp else "no", "DELAY": str(wish.forward_delay), "MACADDR": wish.mac}


def _stp(file: ShellFile, wish: Wish) -> bool:
    """Whether the file says so, in whatever words."""
    return file.is_true("STP") if wish.stp else file.is_false("STP")


def _steered(line: Line) -> str:
    """BRIDGING_OPTS without what would undo STP= and DELAY=."""
    if line.key != "BRIDGING_OPTS" or line.value is None:
        return line.raw
    words = line.value.split()
    kept = [word for word in words if word.partition("=")[0] not in STEERED]
    return line.raw if kept == words else assignment(line.key, " ".join(kept))


def priority(file: ShellFile) -> str:
    """Of the bridge: initscripts read PRIO and BRIDGING_OPTS, the later one wins; NetworkManager only the latter."""
    options = dict(word.partition("=")[::2] for word in file.known("BRIDGING_OPTS").split())
    return options.get("priority", "") or file.known("PRIO")


def _renamed_files(folder: Folder, file: ShellFile, old: str, new: str) -> Iterator[File]:
    """What goes by the link's name goes by the other's: aliases, routes, rules, the DHCP client's configuration."""
    for path in folder.aliases(old):
        name = path.rpartition("/")[2].replace(f"ifcfg-{old}", f"ifcfg-{new}", 1)
        yield from _at(folder, [path], f"{SCRIPTS}/{name}", old, new)
    for before, paths in folder.companions(old, file).items():
        yield from _at(folder, paths, f"{before}{new}" + (".conf" if "dhclient" in before else ""), old, new)


def _at(folder: Folder, paths: list[str], target: str, old: str, new: str) -> Iterator[File]:
    if folder.system.exists(target):
        raise BusyError(f"{target}: is there already, expected to put {' and '.join(paths)} there")
    for path in paths:
        yield File(path, None)
    texts = [_retold(folder.text(path), old, new) for path in paths]
    yield File(target, joined(texts), folder.mode(paths[0]))


def _named_elsewhere(folder: Folder, old: str, new: str) -> Iterator[File]:
    """The host's own files that name the link: its gateway's device, and old IPv6 routes."""
    network = folder.text(NETWORK)
    text = "".join(_moved(line, old, new) for line in read(NETWORK, network).lines)
    if text != network:
        yield File(NETWORK, text)
    routes = folder.text(ROUTES6)
    text = re.sub(rf"^({re.escape(old)})(?=\s)", lambda _: new, routes, flags=re.MULTILINE)
    if text != routes:
        yield File(ROUTES6, text)


def _retold(text: str, old: str, new: str) -> str:
    """Comments stay as they are."""
    lines = re.findall(r"[^\n]*\n|[^\n]+", text)
    return "".join(line if line.lstrip().startswith("#") else renamed(line, old, new) for line in lines)
