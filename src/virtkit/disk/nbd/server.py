"""Listens, has a thread for each client, and ends in order: the request in hand is answered, then all is flushed."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from virtkit.core.progress import Note, Sink, silent
from virtkit.disk.nbd.handshake import Handshake
from virtkit.disk.nbd.session import Session
from virtkit.disk.nbd.wire import STALLED, HangUpError, Wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.disk.nbd.address import Address
    from virtkit.disk.nbd.handshake import Offer

MOST_CLIENTS = 32  # at the same time; more are turned away
_PATIENCE = 10  # seconds that clients have for the request in hand when the server ends


class Server:
    """``run`` until ``stop``, or with ``once`` until the last client has gone. The caller closes the disk."""

    def __init__(
        self, offer: Offer, address: Address, report: Sink = silent, *, once: bool = False, stalled: float = STALLED
    ) -> None:
        self._offer = offer
        self._address = address
        self._report = report
        self._once = once
        self._stalled = stalled
        self._listener = address.listen()
        self.uri = address.bound(self._listener).uri(offer.name)
        self._woken, self._wake = socket.socketpair()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, threading.Thread] = {}

    def stop(self) -> None:
        """From any thread or signal handler; at once, ``run`` returns soon."""
        self._stopping.set()
        with suppress(OSError):  # it has ended
            self._wake.send(b"x")

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """``ready`` is called when clients may come."""
        try:
            ready()
            with selectors.DefaultSelector() as wanted:
                wanted.register(self._listener, selectors.EVENT_READ)
                wanted.register(self._woken, selectors.EVENT_READ)
                while not self._stopping.is_set():
                    if any(key.fileobj is self._listener for key, _ in wanted.select()):
                        self._accept()
        finally:
            self._end()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError:  # the client has gone already, or there is no descriptor left for it
            time.sleep(0.1)
            return
        with self._lock:
            if len(self._clients) >= MOST_CLIENTS:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._clients[connection] = thread
        thread.start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            wire = Wire(connection, self._stalled)
            session = Session(wire, self._offer, Handshake(wire, self._offer).run())
            while not self._stopping.is_set() and session.serve_next():
                pass
        except HangUpError:
            pass
        except Exception as error:  # noqa: BLE001  a fault met by one client is not the end of the others
            self._report(Note("serve", f"a client was dropped: {type(error).__name__}: {error}"))
        finally:
            self._leave(connection)

    def _leave(self, connection: socket.socket) -> None:
        with self._lock:
            del self._clients[connection]
            last = not self._clients
        connection.close()
        if last and self._once:
            self.stop()

    def _end(self) -> None:
        self._listener.close()
        self._address.leave()
        for how, patience in ((socket.SHUT_RD, _PATIENCE), (socket.SHUT_RDWR, None)):
            with self._lock:
                clients = dict(self._clients)
            for connection in clients:
                with suppress(OSError):  # it is closed by now
                    connection.shutdown(how)
            for thread in clients.values():
                thread.join(patience)
        self._wake.close()
        self._woken.close()
