"""The only door to libvirt: opens a connection, finds and defines machines."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Self

from virtkit.core.errors import MachineError, NotFoundError, VirtkitError
from virtkit.vm import library
from virtkit.vm.machine import Machine

if TYPE_CHECKING:
    from types import TracebackType

SYSTEM, SESSION = "qemu:///system", "qemu:///session"
_LOCAL = frozenset({SYSTEM, SESSION})


def default_uri() -> str:
    """Whose machines are meant, by virsh's own rule, so that both always speak of the same ones.

    LIBVIRT_DEFAULT_URI, then ``uri_default`` of libvirt.conf (https://libvirt.org/uri.html), then root's for root and
    the user's own for anybody else: also for a member of the group libvirt, who would have root's for the asking, but
    whose ``web1`` must not become another machine on the day that somebody adds them to a group.
    """
    root = os.geteuid() == 0
    return os.environ.get("LIBVIRT_DEFAULT_URI") or _configured(root=root) or (SYSTEM if root else SESSION)


def _configured(*, root: bool) -> str:
    own = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    folder = "/etc" if root else own
    try:
        text = Path(f"{folder}/libvirt/libvirt.conf").read_text(errors="replace")
    except OSError:
        return ""
    found = re.search(r'^\s*uri_default\s*=\s*"([^"]*)"', text, re.MULTILINE)
    return found[1] if found else ""


def whose(uri: str) -> str:
    """SYSTEM or SESSION for this host's own, however it is written; else ``uri``: another host's, or on its own socket.

    https://libvirt.org/uri.html: ``qemu+unix:///session`` and ``qemu:///session?mode=direct`` are the session, too.
    """
    address, _, query = uri.partition("?")
    plain = address.replace("qemu+unix:", "qemu:", 1)
    return plain if plain in _LOCAL and "socket=" not in query else uri


def is_local(uri: str) -> bool:
    """Whether libvirt's processes there are this host's."""
    return uri in _LOCAL


def wake(uri: str = "") -> str | None:
    """Make root's own libvirt answer if it is the one meant; what was started for that, in words.

    None where it answered already, or where another is meant or another user asks. Errors as ``daemon.ensure_running``.
    """
    library.libvirt()  # that it is not installed is no reason to start a daemon
    if whose(uri or default_uri()) != SYSTEM or os.geteuid() != 0:
        return None
    from virtkit.core.system import System
    from virtkit.vm import daemon

    return daemon.ensure_running(System())


def open(uri: str = "", *, start_daemon: bool = True) -> Connection:  # noqa: A001  libvirt's word, used as connection.open
    """Connect to ``uri``, or to ``default_uri()``; MachineError if nobody answers.

    ``start_daemon``: where root's own libvirt does not answer, start it first.
    """
    uri = uri or default_uri()
    _check_answers(uri)
    if start_daemon:
        wake(uri)
    try:
        return Connection(uri)
    except MachineError as refused:
        hint = _REFUSED.get(whose(uri), f"virsh --connect {uri} version")
        raise MachineError(refused.message, hint=hint) from refused


def _check_answers(uri: str) -> None:
    """MachineError for another host that is dead: libvirt itself would wait for it for two minutes."""
    if not uri.partition(":")[0].endswith(tuple(_PORTS)):
        return
    import socket
    from urllib.parse import urlsplit

    there = urlsplit(uri)
    port = there.port or _PORTS[there.scheme.rpartition("+")[2]]
    try:
        socket.create_connection((there.hostname or "localhost", port), PATIENCE).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        hint = f"ping {there.hostname}; is libvirtd there, does it listen?"
        raise MachineError(f"{uri}: port {port} does not answer ({reason})", hint=hint) from error


_PORTS = {"tcp": 16509, "tls": 16514}  # libvirtd.conf
PATIENCE = 5.0  # seconds for another host's first answer

_REFUSED = {
    SYSTEM: "sudo virtkit ..., or join the group libvirt",
    SESSION: "virsh --connect qemu:///session version",
}


_OTHERS = {SESSION: f"virtkit vm list   (root's: LIBVIRT_DEFAULT_URI={SYSTEM} virtkit vm list)"}


class Connection:
    def __init__(self, uri: str) -> None:
        self.uri = whose(uri)
        self._libvirt = library.Handle(library.libvirt().raw, uri)
        self._handle = library.Handle(self._libvirt.ask(object, "open", uri), uri)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._handle.tell("close")

    @property
    def host(self) -> library.Handle:
        """For what is asked of the host itself, or told it: its pools, networks, CPU, memory."""
        return self._handle

    @property
    def session(self) -> bool:
        """Whether the machines are an ordinary user's own: no network, bridge or device of the host is theirs."""
        return self.uri == SESSION

    @property
    def hostname(self) -> str:
        return self._handle.ask(str, "getHostname")

    @property
    def local(self) -> bool:
        """Whether the machines' processes are this host's: /proc and /sys show them."""
        return is_local(self.uri)

    def machines(self) -> list[Machine]:
        """All of them, running or not, by name."""
        found = [Machine(raw, self.uri) for raw in self._handle.ask(list, "listAllDomains", 0)]
        return sorted(found, key=lambda machine: machine.name)

    def find(self, name: str) -> Machine | None:
        """By its name alone: what an action keeps must not meet another machine by its number."""
        return self._look_up("lookupByName", name)

    def named(self, name: str) -> Machine:
        """As ``find``; NotFoundError if there is none."""
        if (machine := self.find(name)) is None:
            raise NotFoundError(f"{name}: no such machine at {self.uri}", hint=_OTHERS.get(self.uri, "virtkit vm list"))
        return machine

    def machine(self, key: str) -> Machine:
        """By what a person types: name, UUID or, for running machines, number; a name wins. NotFoundError."""
        found = self.find(key) or self._look_up("lookupByUUIDString", key)
        if found is None and key.isascii() and key.isdecimal() and len(key) < 10:  # noqa: PLR2004  it is a C int
            found = self._look_up("lookupByID", int(key))
        return found or self.named(key)

    def _look_up(self, method: str, key: str | int) -> Machine | None:
        try:
            return Machine(self._handle.ask(object, method, key), self.uri)
        except VirtkitError as error:
            if library.error_number(error.__cause__) in _NOT_THIS:
                return None
            raise

    def bridge_of(self, network: str) -> str:
        """The host's bridge that carries a libvirt network; NotFoundError, NotSupportedError if none does now."""
        try:
            raw = self._handle.ask(object, "networkLookupByName", network)
        except NotFoundError as error:
            hint = "virsh net-list --all"
            raise NotFoundError(f"{network}: no such network at {self.uri}", hint=hint) from error
        found = library.Handle(raw, f"network {network}")
        if not found.ask(int, "isActive"):
            raise NotFoundError(f"network {network}: is not active", hint=f"virsh net-start {network}")
        return found.ask(str, "bridgeName")

    def define(self, xml: str) -> Machine:
        """Make a machine persistent, or replace the XML of the one with the same name and UUID.

        libvirt holds ``xml`` against its schema first; MachineError says what it does not like.
        """
        raw = self._handle.ask(object, "defineXMLFlags", xml, library.DEFINE_VALIDATE)
        return Machine(raw, self.uri)

    def check(self, xml: str, name: str) -> None:
        """Let QEMU's driver read ``xml`` as if it were to start; MachineError, NotSupportedError.

        Nothing is kept. The schema is asked by ``define``, which alone can.
        """
        try:
            library.Handle(self._handle.raw, name).tell("domainXMLToNative", "qemu-argv", xml, 0)
        except VirtkitError as error:
            if library.error_number(error.__cause__) in _WRONG_XML:  # else it is the host that lacks something
                raise

    def stream(self) -> library.Handle:
        """A non-blocking stream, for ``Machine.open_console``."""
        return library.Handle(self._handle.ask(object, "newStream", library.STREAM_NONBLOCK), self.uri)


_WRONG_XML = frozenset({8, 27, 35, 67})  # VIR_ERR_INVALID_ARG, _XML_ERROR, _XML_DETAIL, _CONFIG_UNSUPPORTED
_NOT_THIS = frozenset({library.NO_DOMAIN, 8})  # VIR_ERR_INVALID_ARG: this is no UUID
