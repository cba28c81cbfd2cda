"""systemd-networkd: files of its own beside the administrator's, which stay as they are (render.py)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, NotFoundError, NotSupportedError
from virtkit.net import cloudinit, rehearsal
from virtkit.net.backend import Boot, File, Owner
from virtkit.net.backends.networkd import render
from virtkit.net.backends.networkd.links import kept_from_bridge
from virtkit.net.networkd import found, state, takeover, twins

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.backend import Wish
    from virtkit.net.networkd.found import NetworkFile

OF_NETPLAN = "netplan"  # in the name of every file that netplan generates
AT_START = "the host's start (kernel command line or initial RAM disk)"
TROUBLE = ("Unknown ", "Failed to parse", "Invalid ", "ignoring assignment", "Missing '='")  # in its log, of a file
PLACE_IN_FILE = re.compile(r"^\S+?:(\d+:)? ")
RUNTIME = "/run/systemd/netif"


class Networkd:
    title = "systemd-networkd"
    precedence = 30
    further_port = (
        r"printf '[Match]\nName={port}\n[Network]\nBridge={bridge}\n' >/etc/systemd/network/10-{port}.network"
    )

    def owner(self, system: System, link: str) -> Owner | None:
        path = state.network_file(system, link)
        if not path or OF_NETPLAN in path.rpartition("/")[2]:
            return None
        source = found.load(system, path)
        paths = (path, *(drop_in for drop_in, _ in source.drop_ins))
        return Owner("networkd", paths, f"{path} matches it ({state.LINKS})", _writer(system, path))

    def bridged(self, system: System, owner: Owner, wish: Wish) -> tuple[File, ...]:
        source = found.load(system, owner.files[0])
        render.check(source)
        others = found.network_files(system)
        _check_free(system, others, wish.bridge)
        _check_loaded(system, others, source, wish.port)
        bridge = found.bridge_traits(wish.bridge, wish.mac)
        rivals = [file.name for file in others if file.name < source.name and file.may_match(bridge)]
        alone = not rivals and render.serves_alone(source, wish.port)
        prefix = render.prefix_before([source.name, *rivals])
        made = render.files(wish, source, prefix, state.iaid(system, wish.port), alone=alone)
        return (*made, *kept_from_bridge(system, wish))

    def released(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        ours = [path for path in _made_here(system) if found.text(system, path).startswith(render.mark(bridge))]
        if not ours:
            path = found.netdev_names(system).get(bridge) or state.network_file(system, bridge)
            hint = f"take {bridge} out of these files, then: networkctl reload"
            raise NotSupportedError(f"{path}: is for {bridge}, and virtkit did not write it", hint=hint)
        return tuple(File(path, None) for path in ours)

    def problems(self, system: System, files: Sequence[File]) -> list[str]:
        """What the daemon itself says when it reads them, in a room of its own."""
        try:
            log = rehearsal.on_files(system, self.boot(system, "", ""), files).log
        except (CommandError, NotFoundError):  # the rehearsal will say so
            return []
        ours = tuple(f"{file.path}:" for file in files)
        said = {line: PLACE_IN_FILE.sub("", line) for line in log if any(sign in line for sign in TROUBLE)}
        known = {words for line, words in said.items() if not line.startswith(ours)}
        return [line for line, words in said.items() if line.startswith(ours) and words not in known]

    def stand_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """It lets a link go without answering; but a port that leaves would be put back (takeover.py).

        And a new bridge with the port's MAC may match a file, and would get the port's addresses too soon.
        """
        new = found.bridge_traits(bridge, found.traits(system, port).mac)
        if _joined(system, port):
            takeover.keep_out(system, port)
        elif any(file.may_match(new) for file in found.network_files(system)):
            takeover.keep_out(system, bridge)

    def adopt(self, system: System, port: str, bridge: str, report: Sink) -> None:
        holder, others = _holder(system, port, bridge)
        takeover.let_in(system, holder, *others)
        link = found.traits(system, holder)
        link = found.bridge_traits(holder, link.mac) if holder == bridge else link
        path = next((file.path for file in found.network_files(system) if file.may_match(link)), "")
        takeover.take_over(system, path, holder, others, report)

    def missing(self, system: System, port: str, bridge: str) -> str:
        holder, others = _holder(system, port, bridge)
        return takeover.waiting(system, holder, others) if state.running(system) else ""

    def take_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        self.adopt(system, port, bridge, report)

    def boot(self, system: System, port: str, bridge: str) -> Boot:
        folders = [f"{RUNTIME}/{name}" for name in ("links", "leases", "lldp")]
        owned = ("install", "-d", "-o", "systemd-network", "-g", "systemd-network", RUNTIME, *folders)
        return Boot((owned,), (state.program(system),), ("/run/systemd/network",), f"{RUNTIME}/state", twins.__name__)


def _writer(system: System, path: str) -> str:
    if "cloud-init" in path:
        return cloudinit.writer(system)
    return AT_START if path.startswith("/run/") else ""


def _holder(system: System, port: str, bridge: str) -> tuple[str, tuple[str, ...]]:
    """Who has layer 3, and the other one of the two if it is networkd's business."""
    return (bridge, (port,)) if _joined(system, port) else (port, ())


def _joined(system: System, port: str) -> bool:
    return system.exists(f"/sys/class/net/{port}/master")


def _made_here(system: System) -> Iterator[str]:
    """The drop-ins first: undone last, a directory of ours is empty when it goes."""
    folders = [f"{name}/" for name in system.names(found.PLACE) if name.endswith(".d")]
    for folder in (*folders, ""):
        for suffix in (".conf",) if folder else (".network", ".netdev"):
            yield from (path for path in found.paths(system, folder, suffix) if path.startswith(found.PLACE))


def _check_free(system: System, files: Sequence[NetworkFile], bridge: str) -> None:
    """NotSupportedError where files are for a link of the bridge's name already."""
    named = {bridge: found.netdev_names(system).get(bridge, "")}
    paths = [file.path for file in files if bridge in file.values("Match", "Name")]
    for path in filter(None, [*named.values(), *paths]):
        raise NotSupportedError(f"{path}: is for {bridge} already", hint=f"networkctl status {bridge}")


def _check_loaded(system: System, files: Sequence[NetworkFile], source: NetworkFile, port: str) -> None:
    """NotSupportedError where the reload that the move needs would set the port up anew, in the middle of it."""
    hint = "networkctl reload, and look whether all is well"
    link = found.traits(system, port)
    for file in files:
        if file.name < source.name and file.must_match(link):
            reason = f"is for {port}, which systemd-networkd has from {source.path}: it was not read yet"
            raise NotSupportedError(f"{file.path}: {reason}", hint=hint)
    for path in (source.path, *(path for path, _ in source.drop_ins)):
        if state.changed_since(system, port, path):
            raise NotSupportedError(f"{path}: was changed after systemd-networkd set up {port}", hint=hint)


BACKEND = Networkd()
