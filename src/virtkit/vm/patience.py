"""Questions to libvirt that may never be answered: it waits for a QEMU that hangs as long as that hangs."""

from __future__ import annotations

from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, TypeVar

from virtkit.core.errors import MachineError, VirtkitError
from virtkit.vm import connection

if TYPE_CHECKING:
    from collections.abc import Callable

    from virtkit.vm.connection import Connection

    T = TypeVar("T")

SECONDS = 5.0  # that libvirt may take to answer
_TRIES = 5  # each passes by the machine that the one before waits for


class Patient:
    """Asks over a connection of its own, and gives that up when it does not answer.

    Closing it would take it from under the call that still waits; it goes when that call ends, or with the process.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._libvirt: Connection | None = None

    def ask(self, question: Callable[[Connection], T]) -> T:
        """MachineError where libvirt answers none of several times; otherwise as ``question`` raises."""
        for _ in range(_TRIES):
            if answers := self._tried(question):
                return answers[0]
        raise MachineError(f"{self.uri}: does not answer within {_TRIES * SECONDS:g} s", hint="virsh domstats --nowait")

    def close(self) -> None:
        if self._libvirt:
            with suppress(VirtkitError):
                self._libvirt.close()

    def _tried(self, question: Callable[[Connection], T]) -> list[T]:
        """The answer; nothing where there was none in time."""
        libvirt, self._libvirt = self._libvirt or connection.open(self.uri), None
        answers: list[T] = []
        failures: list[BaseException] = []
        done = Event()

        def run() -> None:
            try:
                answers.append(question(libvirt))
            except BaseException as error:  # noqa: BLE001  it is raised by who waits for this thread
                failures.append(error)
            finally:
                done.set()

        Thread(target=run, daemon=True).start()
        if not done.wait(SECONDS):
            return []
        if failures:  # a libvirtd that was restarted answers the next connection
            with suppress(VirtkitError):
                libvirt.close()
            raise failures[0]
        self._libvirt = libvirt
        return answers
