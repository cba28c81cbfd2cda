"""The next start of the host, rehearsed.

The owner's daemon is started on the files as they stand now, in a room of its own (``room.py``) with a twin of the
port. It must bring about what the kernel shows here.

What it does not bring about is held against a rehearsal with the files as they were: an address that somebody added
by hand was not going to survive the next start before, either, and is told but not blamed on the change.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from virtkit.core.errors import CommandError, NotFoundError
from virtkit.net import hardware
from virtkit.net.kernel import Kernel
from virtkit.net.model import IPV4
from virtkit.net.rehearsal import picture
from virtkit.net.rehearsal.scene import Lease, Outcome, Scene, Twin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from virtkit.core.system import System
    from virtkit.net.backend import Boot, File
    from virtkit.net.model import Link, Network
    from virtkit.net.rehearsal.picture import Difference, Picture

# Dies with whoever started it, and everything in it with it.
ROOM = ("unshare", "--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc")
SETTINGS = tuple(
    f"/proc/sys/net/ipv6/conf/{which}/{key}"
    for which in ("all", "default")
    for key in ("disable_ipv6", "forwarding", "accept_ra", "addr_gen_mode")
)
STACKED = {"vlan", "bond", "team"}  # kinds that the host's files make; what lies below them is there by itself
SPARE = 60.0  # seconds for everything but the waiting


@dataclass(frozen=True)
class Verdict:
    """``wrong`` is the new files' doing; ``lost`` would also have been so with the old ones."""

    wrong: tuple[Difference, ...]
    lost: tuple[Difference, ...]
    outcome: Outcome


def rehearse(system: System, boot: Boot, port: str, bridge: str, was: Sequence[File] = ()) -> Verdict:
    """Hold the next start against the present. ``was``: the files that changed, as they were before.

    NotFoundError, CommandError: why it could not be rehearsed here.
    """
    with Kernel() as kernel:
        network = kernel.network()
    wanted = picture.take(network, port, bridge)
    outcome = play(system, _scene(system, network, boot, port, bridge, wanted=wanted))
    differences = picture.compare(wanted, outcome.picture)
    if not differences or not was:
        return Verdict(tuple(differences), (), outcome)
    before = play(system, _scene(system, network, boot, port, bridge, files=was))
    holder, giver = (bridge, port) if network.by_name[port].master else (port, bridge)
    known = {(d.sign, d.line) for d in picture.compare(picture.only(wanted, holder, as_name=giver), before.picture)}
    lost = tuple(d for d in differences if d.excusable and (d.sign, d.line) in known)
    return Verdict(tuple(d for d in differences if d not in lost), lost, outcome)


def play(system: System, scene: Scene) -> Outcome:
    """What the kernel shows in the room when ``wanted`` is reached, or the patience is over."""
    command = [*ROOM, sys.executable, "-m", "virtkit.net.rehearsal.room"]
    done = system.run(command, text=scene.dump(), timeout=scene.patience + scene.silence + SPARE, check=False)
    if done.status or not done.stdout:
        raise CommandError(ROOM, done.status, done.stderr)
    return Outcome.load(done.stdout)


def on_files(system: System, boot: Boot, files: Sequence[File]) -> Outcome:
    """Without any link: what the commands and the daemon say of ``files``, for a backend's validator."""
    scene = Scene(files=_texts(files), modes=_modes(files), ready=boot.ready)
    return play(system, _staged(boot, scene))


def _scene(
    system: System,
    network: Network,
    boot: Boot,
    port: str,
    bridge: str,
    *,
    wanted: Picture | None = None,
    files: Sequence[File] = (),
) -> Scene:
    if port not in network.by_name:
        raise NotFoundError(f"{port}: no such link")
    found = network.by_name.get(bridge)
    scene = Scene(
        port,
        bridge,
        twins=[_twin(system, link) for link in _below(network, network.by_name[port])],
        files=_texts(files),
        modes=_modes(files),
        settings={path: value for path in SETTINGS if (value := system.read_or(path, ""))},
        wanted=wanted or {},
        lease=_lease(network, port, bridge),
        silence=found.bridge.silence if found and found.bridge else 0.0,
    )
    return _staged(boot, scene)


def _texts(files: Sequence[File]) -> dict[str, str | None]:
    return {file.path: file.text for file in files}


def _modes(files: Sequence[File]) -> dict[str, int]:
    return {file.path: file.mode for file in files if file.mode is not None}


def _staged(boot: Boot, scene: Scene) -> Scene:
    return replace(
        scene,
        commands=[list(command) for command in boot.commands],
        fitting=boot.fitting,
        daemon=list(boot.daemon),
        carried=list(boot.carried),
        patience=boot.patience,
    )


def _twin(system: System, link: Link) -> Twin:
    return Twin(link.name, link.mac, *hardware.of(system, link.name))


def _below(network: Network, link: Link) -> Iterator[Link]:
    """The links that are there before any file is read."""
    if link.kind not in STACKED:
        yield link
    elif link.kind == "vlan":
        yield from _below(network, network.by_index[link.lower])
    else:
        for slave in network.ports(link):
            yield from _below(network, slave)


def _lease(network: Network, port: str, bridge: str) -> Lease | None:
    """What the DHCP server of the room offers: the address that the host holds now."""
    for name in (bridge, port):
        link = network.by_name.get(name)
        leased = [address for address in network.addresses_of(link) if address.leased] if link else []
        if link and leased:
            defaults = [
                route for route in network.routes_of(link) if (route.destination, route.family) == ("default", IPV4)
            ]
            gateways = [hop.gateway for route in defaults for hop in route.nexthops]
            return Lease(leased[0].local, leased[0].prefix_length, gateways[0] if gateways else "", leased[0].valid)
    return None
