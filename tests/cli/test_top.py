"""``vm top`` at a terminal: keys, narrow windows, and the terminal as it was afterwards."""

from __future__ import annotations

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtkit.cli.vm.top.table import COLUMNS, columns, rows, sorted_machines
from virtkit.cli.vm.top.view import View, pressed
from virtkit.core.errors import VirtkitError
from virtkit.vm import library
from virtkit.vm.counters import parse
from virtkit.vm.loads import Load
from virtkit.vm.verbs.watching import Busy

if TYPE_CHECKING:
    from collections.abc import Iterator

START = View("cpu", reverse=False, devices=False)


def busy(name: str, cpu: float | None, said: dict[str, object] | None = None) -> Busy:
    load = None if cpu is None else Load(cpu, cpu, None, (), ())
    return Busy(parse(name, name, {"state.state": 1, **(said or {})}), load, None)


def test_keys_sort_turn_round_filter_and_quit() -> None:
    assert pressed(START, "mR")[:2] == ("mem", True)
    assert pressed(START, "s").sort == "steal"
    typed = pressed(START, "/wqb\x7fb")
    assert (typed.typing, typed.wanted, typed.ended) == (True, "wqb", False)
    assert pressed(typed, "\r")._replace(wanted="") == START
    assert pressed(typed, "\x1b") == START
    assert pressed(START, "\x1b[B\x1b[Bk").skipped == 1
    assert [pressed(START, key).ended for key in ("q", "\x1b", "\x04", "z")] == [True, True, True, False]


@given(st.text())
def test_no_keys_break_it(keys: str) -> None:
    view = pressed(START, keys)
    assert view.skipped >= 0
    assert pressed(view._replace(typing=False), "q").ended


def test_the_busiest_comes_first_and_machines_that_are_off_last() -> None:
    machines = [busy("b", 0.5), busy("off", None), busy("a", 0.5), busy("c", 0.9)]
    by_cpu = [each.counters.name for each in sorted_machines(machines, "cpu")]
    assert by_cpu == ["c", "a", "b", "off"]
    assert sorted_machines(machines, "cpu", reverse=True)[0].counters.name == "off"
    assert [each.counters.name for each in sorted_machines(machines, "name", reverse=True)] == ["off", "c", "b", "a"]


@given(st.integers(1, 200), st.lists(st.text("abcxyz", min_size=1, max_size=30), max_size=5))
def test_a_narrow_terminal_loses_whole_columns_the_least_wanted_first(width: int, names: list[str]) -> None:
    machines = [busy(name, 0.25) for name in names]
    chosen = columns(pss=False, width=width, machines=machines)
    assert chosen[0].title == "NAME"
    lost = [column.rank for column in COLUMNS if column not in chosen]
    assert not lost or min(lost) >= max(column.rank for column in chosen)
    cells = [
        [column.title for column in chosen],
        *(column for column in [[c.show(m) for c in chosen] for m in machines]),
    ]
    needed = sum(max(len(row[at]) for row in cells) for at in range(len(chosen))) + 2 * (len(chosen) - 1)
    assert needed <= width or len(chosen) == 1


@given(st.integers(0, 1 << 62))
def test_sizes_are_short(size: int) -> None:
    (row,) = rows([busy("a", 0.1, {"balloon.rss": size >> 10})], devices=False, pss=False)
    assert len(row[[column.title for column in COLUMNS].index("RSS")]) <= 5


@contextmanager
def terminal(width: int, *more: str) -> Iterator[tuple[int, int, subprocess.Popen[bytes]]]:
    """On libvirt's own imitation of a host, which has one machine: test."""
    try:
        library.libvirt()
    except VirtkitError as error:
        pytest.skip(error.message)
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, width, 0, 0))
    command = [sys.executable, "-m", "virtkit", "vm", "top", "--interval", "0.2", *more]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "TERM": "xterm"}
    environment["LIBVIRT_DEFAULT_URI"] = "test:///default"
    program = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    try:
        yield ours, theirs, program
    finally:
        program.kill()
        program.wait()
        os.close(ours)
        os.close(theirs)


def heard(ours: int, wanted: bytes, seconds: float = 15) -> bytes:
    said, end = b"", time.monotonic() + seconds
    while wanted not in said and time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            said += os.read(ours, 65536)
    assert wanted in said, said
    return said


def test_it_shows_follows_keys_and_gives_the_terminal_back() -> None:
    with terminal(40) as (ours, theirs, program):
        before = termios.tcgetattr(theirs)
        said = heard(ours, b"q quit")
        assert b"test" in said
        assert b"1 running" in said
        assert b"NODE" not in said
        os.write(ours, b"/nothing")
        heard(ours, b"/nothing_")
        os.write(ours, b"\rq")
        heard(ours, b"\x1b[?1049l")
        assert program.wait(10) == 0
        assert termios.tcgetattr(theirs) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_gives_the_terminal_back(number: signal.Signals) -> None:
    with terminal(120) as (ours, theirs, program):
        before = termios.tcgetattr(theirs)
        heard(ours, b"q quit")
        program.send_signal(number)
        heard(ours, b"\x1b[?1049l")
        assert program.wait(10) == 130
        assert termios.tcgetattr(theirs) == before


def test_without_a_terminal_there_is_one_table() -> None:
    with terminal(80) as (_, theirs, _program):
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        environment["LIBVIRT_DEFAULT_URI"] = "test:///default"
        command = [sys.executable, "-m", "virtkit", "vm", "top", "--interval", "0.01"]
        done = subprocess.run(command, stdin=theirs, capture_output=True, text=True, check=True, env=environment)
    title, line = done.stdout.splitlines()
    assert title.split()[:3] == ["NAME", "STATE", "HOST%"]
    assert line.split()[:2] == ["test", "running"]
