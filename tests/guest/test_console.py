"""The serial console, as a person at a terminal and as a script have it."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import pytest

from guest import machines
from virtkit.core.errors import BusyError, MachineError
from virtkit.vm.console import LEAVE, converse

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.guest


class Terminal(NamedTuple):
    ours: int  # where a person looks and types
    theirs: int
    program: subprocess.Popen[bytes]

    def expect(self, wanted: bytes, seconds: float = 15) -> bytes:
        heard, end = b"", time.monotonic() + seconds
        while wanted not in heard and time.monotonic() < end:
            if select.select([self.ours], [], [], 0.1)[0]:
                heard += os.read(self.ours, 4096)
        assert wanted in heard
        return heard

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)


@contextmanager
def terminal(name: str) -> Iterator[Terminal]:
    """A person's terminal with ``virtkit vm console`` running in it, connected."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "virtkit", "vm", "console", name]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    shown = Terminal(ours, theirs, program)
    try:
        shown.expect(b"^] leaves")
        shown.type(b"\r")
        shown.expect(b"# ")
        yield shown
    finally:
        program.kill()
        program.wait()
        os.close(ours)
        os.close(theirs)


def test_keys_go_to_the_guest_and_its_words_come_back_until_the_user_leaves(guest: str) -> None:
    with terminal(guest) as shown:
        raw = termios.tcgetattr(shown.theirs)
        shown.type(b"echo answer-$((40 + 2))\r")
        shown.expect(b"\r\nanswer-42")
        shown.type(LEAVE)
        shown.expect(b"left")
        assert shown.program.wait(10) == 0
        assert termios.tcgetattr(shown.theirs) != raw
        assert termios.tcgetattr(shown.theirs)[3] & termios.ECHO


def test_ctrl_c_is_the_guests(guest: str) -> None:
    with terminal(guest) as shown:
        shown.type(b"sh -c 'echo begun; exec sleep 1000'\r")  # one process group from its first word on
        shown.expect(b"\r\nbegun")
        shown.type(b"\x03")
        shown.type(b"echo still-$((40 + 2))\r")
        shown.expect(b"still-42")


def test_a_signal_gives_the_terminal_back(guest: str) -> None:
    with terminal(guest) as shown:
        shown.program.send_signal(signal.SIGTERM)
        assert shown.program.wait(10) == 130
        assert termios.tcgetattr(shown.theirs)[3] & termios.ECHO


def test_a_console_that_somebody_has_is_taken_only_by_force(guest: str) -> None:
    with terminal(guest) as shown:
        with pytest.raises(BusyError) as caught:
            converse(guest, lambda _heard: None, seconds=1)
        assert caught.value.hint == f"virtkit vm console {guest} --force"
        converse(guest, lambda _heard: None, seconds=0.5, force=True)
        assert shown.program.wait(10) == 0


class _HeardAllError(Exception):
    pass


def test_a_long_paste_arrives_whole_and_a_listener_may_break_off(guest: str) -> None:
    heard = b""

    def hear(words: bytes) -> None:
        nonlocal heard
        heard += words
        if b"sum-300-" in heard:
            raise _HeardAllError

    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as typed:
        typed.write(b"\nx=0\n" + b"x=$((x + 1))\n" * 300 + b"echo sum-$x-\n")
    with pytest.raises(_HeardAllError):
        converse(guest, hear, keyboard=reader, seconds=30)
    os.close(reader)


def test_it_ends_when_the_machine_goes_off(idle: str) -> None:
    machines.virsh("start", idle)
    command = ["sh", "-c", f"sleep 1; virsh -c qemu:///system destroy {idle}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL):
        began = time.monotonic()
        assert "closed" in converse(idle, lambda _heard: None, seconds=30)
        assert time.monotonic() - began < 10


def test_a_machine_that_is_off_has_no_console(idle: str) -> None:
    with pytest.raises(MachineError, match="is shut off, expected running") as caught:
        converse(idle, lambda _heard: None, seconds=1)
    assert caught.value.hint == f"virtkit vm start {idle}"
