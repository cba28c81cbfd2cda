"""Where a server listens: a Unix socket that its owner alone may use, or a TCP port of this host."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import NamedTuple
from urllib.parse import quote

from virtkit.core.errors import BusyError, SystemCallError, UsageError
from virtkit.disk.nbd.protocol import PORT

_BACKLOG = 16
_LONGEST_PATH = 107  # bytes; sockaddr_un, unix(7)
_LAST_PORT = 65535
_OWNER_ALONE = 0o177  # the mode bits that a socket shall not have


class UnixAddress(NamedTuple):
    path: str

    def uri(self, export: str) -> str:
        return f"nbd+unix:///{quote(export, safe='')}?socket={quote(os.path.abspath(self.path))}"

    def listen(self) -> socket.socket:
        """BusyError where another server listens; the socket of one that was killed is replaced. SystemCallError."""
        length = len(os.fsencode(self.path))
        if length > _LONGEST_PATH:
            raise UsageError(f"{self.path}: is a path of {length} bytes, expected at most {_LONGEST_PATH}")
        self._clear()
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(_OWNER_ALONE)
        try:
            listener.bind(self.path)
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            raise SystemCallError(f"listen on {self.path}", error) from error
        finally:
            os.umask(before)
        return listener

    def bound(self, listener: socket.socket) -> UnixAddress:
        return self

    def leave(self) -> None:
        """After the listener was closed."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            return

    def _clear(self) -> None:
        try:
            mode = os.stat(self.path).st_mode
        except OSError:
            return
        if not stat.S_ISSOCK(mode):
            raise UsageError(f"{self.path}: exists already and is no socket", hint="another path")
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(self.path)
            except ConnectionRefusedError:
                os.unlink(self.path)
            except OSError as error:
                raise SystemCallError(f"look who listens on {self.path}", error) from error
            else:
                raise BusyError(f"{self.path}: another server listens there", hint="another path")


class TcpAddress(NamedTuple):
    host: str
    port: int = PORT

    def uri(self, export: str) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORT else f":{self.port}"
        return f"nbd://{host}{port}/{quote(export, safe='')}"

    def listen(self) -> socket.socket:
        """BusyError, SystemCallError."""
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.host, self.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            listener.close()
            where = f"{self.host}, port {self.port}"
            if error.errno == errno.EADDRINUSE:
                raise BusyError(f"{where}: another server listens there", hint="--port N") from error
            raise SystemCallError(f"listen on {where}", error) from error
        return listener

    def bound(self, listener: socket.socket) -> TcpAddress:
        """Where it listens: port 0 asks the kernel for a free one."""
        return TcpAddress(self.host, listener.getsockname()[1])

    def leave(self) -> None:
        """A port leaves nothing behind."""


Address = UnixAddress | TcpAddress


def tcp(host: str, port: int, *, insecure: bool) -> TcpAddress:
    """UsageError for addresses that others can reach, unless ``insecure``: whoever reaches the port has the disk."""
    import ipaddress

    if not 0 <= port <= _LAST_PORT:
        raise UsageError(f"--port: is {port}, expected at most {_LAST_PORT}; 0 asks for a free one")
    name = {"localhost": "127.0.0.1"}.get(host, host)
    try:
        address = ipaddress.ip_address(name)
    except ValueError as error:
        raise UsageError(f"--bind: address is {host}, expected the number of one, as in 127.0.0.1") from error
    if not address.is_loopback and not insecure:
        raise UsageError(
            f"--bind: address is {host}, expected one of this host alone: NBD asks nobody who he is",
            hint=f"ssh -L {port}:127.0.0.1:{port} THIS_HOST on the other host; or --insecure",
        )
    return TcpAddress(str(address), port)
