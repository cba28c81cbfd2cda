"""A conversation with a machine's serial console, over libvirt's stream: works for remote machines, too."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple

from virtkit.core.errors import VirtkitError
from virtkit.vm import connection, library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from virtkit.vm.machine import Machine

    Hear = Callable[[bytes], None]

LEAVE = b"\x1d"  # ^], as telnet and virsh have it
TICK = 100  # milliseconds: how late a time limit or Ctrl-C may be noticed
_CHUNK = 1 << 16
_WOULD_BLOCK = -2
_HANG_UP = 1.0  # seconds


@contextmanager
def line(name: str, *, force: bool = False, uri: str = "") -> Iterator[Line]:
    """The line to a machine's console; BusyError if somebody else has it, unless ``force`` is set."""
    library.events()  # has to be there before the connection is made
    with connection.open(uri) as libvirt:
        stream, machine = libvirt.stream(), libvirt.machine(name)
        machine.open_console(stream, force=force)
        yield Line(stream, machine)


class Line(NamedTuple):
    stream: library.Handle
    machine: Machine

    def talk(
        self, hear: Hear, *, keyboard: int | None = None, seconds: float | None = None, leave: bytes = LEAVE
    ) -> str:
        """Pass on what the console says to ``hear`` and what is typed on the descriptor ``keyboard`` to the console.

        Ends with ``leave`` from a terminal, whatever the guest does; with the keyboard's end of file if there is no
        time limit; after ``seconds``; or when the machine goes off. Says which. Once for each line.
        """
        return _Session(self.stream, hear, keyboard, seconds, leave).run()


def converse(
    name: str,
    hear: Hear,
    *,
    keyboard: int | None = None,
    seconds: float | None = None,
    force: bool = False,
    uri: str = "",
) -> str:
    """``line`` and ``talk`` at once."""
    with line(name, force=force, uri=uri) as opened:
        return opened.talk(hear, keyboard=keyboard, seconds=seconds)


@contextmanager
def raw_terminal(descriptor: int) -> Iterator[None]:
    """Every key goes to the guest, Ctrl-C too; the terminal is as before afterwards, whatever happens."""
    import termios
    import tty

    saved = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor)
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, saved)


class _Session:
    def __init__(
        self, stream: library.Handle, hear: Hear, keyboard: int | None, seconds: float | None, leave: bytes
    ) -> None:
        self._stream, self._hear, self._keyboard, self._leave = stream, hear, keyboard, leave
        self._end = None if seconds is None else time.monotonic() + seconds
        self._pending = b""  # typed, but the stream was full
        self._done = ""
        self._failure: BaseException | None = None
        self._watch: int | None = None

    def run(self) -> str:
        events = library.events()
        self._stream.tell("eventAddCallback", library.STREAM_READABLE, self._guarded(self._listen), None)
        timer = events.ask(int, "virEventAddTimeout", TICK, self._guarded(self._tick), None)
        if self._keyboard is not None:
            wanted = library.HANDLE_READABLE | library.HANDLE_HANGUP
            typed = self._guarded(self._type)
            self._watch = events.ask(int, "virEventAddHandle", self._keyboard, wanted, typed, None)
        try:
            while not self._done:
                events.tell("virEventRunDefaultImpl")
        finally:
            events.tell("virEventRemoveTimeout", timer)
            self._deaf()
            self._hang_up()
        if self._failure is not None:
            raise self._failure
        return self._done

    def _guarded(self, step: Callable[[], None]) -> Callable[..., None]:
        """What a callback raises, libvirt prints and forgets; here it ends the conversation and ``run`` raises it."""

        def call(*_arguments: object) -> None:
            try:
                step()
            except BaseException as error:  # noqa: BLE001  Ctrl-C as well: it may strike inside a callback
                self._failure, self._done = error, "failed"

        return call

    def _listen(self) -> None:
        while not self._done:
            try:
                heard = self._stream.ask(object, "recv", _CHUNK)
            except VirtkitError:  # the machine went off, or somebody else took the console
                self._done = "the console was closed"
                return
            if heard == _WOULD_BLOCK:
                return
            if isinstance(heard, bytes) and heard:
                self._hear(heard)
            else:
                self._done = "the machine closed the console"

    def _type(self) -> None:
        typed = os.read(self._keyboard or 0, _CHUNK)
        if not typed:
            self._deaf()
            if self._end is None:
                self._done = "end of input"
            return
        before, leave, _ = typed.partition(self._leave)
        self._pending += before
        self._send()
        if leave and os.isatty(self._keyboard or 0):
            self._done = "left"

    def _send(self) -> None:
        while self._pending and (sent := self._stream.ask(int, "send", self._pending)) > 0:
            self._pending = self._pending[sent:]

    def _tick(self) -> None:
        self._send()
        if self._end is not None and time.monotonic() > self._end:
            self._done = "time is over"

    def _deaf(self) -> None:
        """Stop looking at the keyboard."""
        if self._watch is not None:
            library.events().tell("virEventRemoveHandle", self._watch)
            self._watch = None

    def _hang_up(self) -> None:
        """An abort is answered only once the guest has taken what was typed: a paused one would hold us for ever.

        Then the connection's end has to do; the thread goes when libvirt answers, or with the process.
        """
        ended = Thread(target=self._abort, daemon=True)
        ended.start()
        ended.join(_HANG_UP)

    def _abort(self) -> None:
        for method in ("eventRemoveCallback", "abort"):
            try:
                self._stream.tell(method)
            except VirtkitError:  # it was closed from the other side
                continue
