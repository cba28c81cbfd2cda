"""What every backend promises: the files that make a link at each start of the host, and the daemon that reads them.

A backend is one file in ``net/backends`` that offers ``BACKEND``. It renders text and talks to its daemon; it never
touches links, addresses or routes itself: the kernel is moved first, without a packet lost, and the daemon then finds
everything as its new files say (the kernel first, the daemon adopts).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from virtkit.core.progress import Sink
    from virtkit.core.system import System
    from virtkit.net.standing import Side

STANDARD_MTU = 1500  # bytes: what a link has at the host's start without being told


@dataclass(frozen=True)
class Owner:
    """Who configures a link, and how that is known."""

    backend: str  # the plug-in's name
    files: tuple[str, ...]  # that define the link, absolute; empty: a profile that lives in the daemon alone
    because: str  # for the plan: ``eth0 is in /run/network/ifstate``
    writer: str = ""  # who writes these files anew by itself: ``cloud-init``, ``Proxmox VE``; empty: the administrator


@dataclass(frozen=True)
class Wish:
    """A bridge over a port, as it shall stand after every start of the host."""

    bridge: str
    port: str
    mac: str  # of both, aa:bb:cc:dd:ee:ff
    mtu: int  # bytes
    held: Side  # what the port holds now, or the bridge if the move is done; the files may say more, and win
    forward_delay: int = 0  # seconds, of the spanning tree protocol, 2 to 30; 0: the bridge is without it

    @property
    def stp(self) -> bool:
        return self.forward_delay > 0


@dataclass(frozen=True)
class File:
    """A configuration file as it shall be."""

    path: str  # absolute
    text: str | None  # None: there shall be no such file; undecodable bytes are surrogate escapes
    mode: int | None = None  # permission bits; None: as they are, 0o644 for a new file


@dataclass(frozen=True)
class Boot:
    """What a starting host runs to set up a link, without systemd: played as root in a room of its own (rehearsal).

    There ``/run`` is empty, ``/etc`` and ``/var/lib`` are copies that may be written, ``/sys`` is read-only but for the
    room's links (so the daemons do without udev), and the links below the port exist, down, with their names and MAC
    addresses: as veth, so that files which go by a card's hardware have to be fitted.
    """

    commands: tuple[tuple[str, ...], ...] = ()  # in this order, each to its end; a failure is told with the outcome
    daemon: tuple[str, ...] = ()  # after them, the one that stays; empty: none does
    carried: tuple[str, ...] = ()  # directories below /run that others fill at each start: taken along as they are
    ready: str = ""  # a file that the daemon makes when it has read its configuration; empty: not known
    fitting: str = ""  # a module of ours: its ``fit(system, twins)`` runs before the daemon; empty: none is needed
    patience: float = 15.0  # seconds from the daemon's start until the links are as they should be


@runtime_checkable
class Backend(Protocol):
    title: str  # as its users know it: ``NetworkManager``
    precedence: int  # of several that know a link, the lowest owns it: netplan 10, NetworkManager 20, networkd 30 ...
    further_port: str  # what an administrator types for one more ``{port}`` of a ``{bridge}``; see also PortFiles

    def owner(self, system: System, link: str) -> Owner | None:
        """None: not this backend's link. Asked of the running daemon and of its files; must not start anything."""

    def bridged(self, system: System, owner: Owner, wish: Wish) -> tuple[File, ...]:
        """The files that give all of layer 3 to the bridge, its MAC pinned and STP off, and nothing to the port.

        What is not ours to change (comments, unknown keys, order) stays byte for byte. An empty tuple: they say so
        already. NotSupportedError with the place for what cannot be said in these files.
        """

    def released(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        """The way back for ``bridge delete``: the port has layer 3 again, and there is no bridge."""

    def problems(self, system: System, files: Sequence[File]) -> list[str]:
        """What the backend's own offline validator says of its configuration with ``files`` in it; empty: nothing."""

    def stand_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """Before the move, either way, and before its undo: the daemon must not answer it.

        As a daemon would that gives addresses back, takes the bridge down, or puts the port back into it.
        """

    def adopt(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """After the move, with the new files in place: the daemon takes port and bridge as they stand.

        No packet is lost where the daemon allows it; a DHCP client must run on the bridge afterwards.
        """

    def missing(self, system: System, port: str, bridge: str) -> str:
        """What the daemon has not adopted yet, for verify: ``no DHCP client on br0``; empty: all is well."""

    def take_back(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """After an undo, with the old files in place and the kernel as before: the daemon takes again what it had."""

    def boot(self, system: System, port: str, bridge: str) -> Boot:
        """How the next start of the host will go. NotSupportedError, NotFoundError: why it cannot be rehearsed."""


@runtime_checkable
class Escort(Protocol):
    """A backend whose daemon empties a link that it takes, and one that others took from it: it is told before."""

    def escorts(self, system: System, link: str) -> bool:
        """Whether the daemon that has this link is such a one: some backends write for several daemons."""

    def introduce(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """The bridge is there and empty, the port not yet in it: the daemon takes the bridge, until it adopts it."""

    def dismiss(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """The bridge is empty and about to be deleted: the daemon must not make it again. Undone by ``introduce``."""

    def let_go(self, system: System, port: str, bridge: str, report: Sink) -> None:
        """Before an adoption is undone, in the place of ``stand_back``: the port is the daemon's as it was before."""


@runtime_checkable
class PortFiles(Protocol):
    """A backend whose files alone say which links are a bridge's ports: no daemon answers when a port joins or leaves.

    NotSupportedError, BusyError with the place for what cannot be said in these files.
    """

    def joined(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        """The files that give a bridge one more port, which has nothing of layer 3."""

    def parted(self, system: System, bridge: str, port: str) -> tuple[File, ...]:
        """The files without this port."""
