"""The terminal as a window on the machines; it is as before afterwards, whatever ends it."""

from __future__ import annotations

import os
import select
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console as Rich
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from virtkit import vm
from virtkit.cli.vm.top.table import columns, hints, lines, sorted_machines
from virtkit.cli.vm.top.view import HELP, View, pressed
from virtkit.core.errors import MachineError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from rich.console import RenderableType

    from virtkit.cli.vm.top.table import Column
    from virtkit.vm.verbs.watching import Busy, Watch

_ABOVE, _BELOW = 2, 2  # lines of the window that are no machine's


def run(args: argparse.Namespace) -> int:
    screen = Rich(file=sys.stdout, markup=False, highlight=False)
    view = View(args.sort, args.reverse, args.devices)
    with (
        vm.watch(args.names, pss=args.pss) as watched,
        _keys(sys.stdin.fileno()) as keyboard,
        Live(console=screen, screen=True, auto_refresh=False) as window,
    ):
        machines: Sequence[Busy] = watched.look()
        fault = ""
        due = time.monotonic() + min(args.interval, 0.5)  # the first rates come soon
        while not view.ended:
            window.update(_drawn(machines, view, watched, screen, fault, pss=args.pss), refresh=True)
            view = pressed(view, _read(keyboard, due - time.monotonic()))
            if time.monotonic() >= due:
                machines, fault = _look(watched, machines)
                due = time.monotonic() + args.interval
    return 0


@contextmanager
def _keys(descriptor: int) -> Iterator[int]:
    """Each key comes at once and is not shown; Ctrl-C stays a signal, should libvirt not answer."""
    import termios
    import tty

    saved = termios.tcgetattr(descriptor)
    try:
        tty.setcbreak(descriptor)
        yield descriptor
    finally:
        termios.tcsetattr(descriptor, termios.TCSAFLUSH, saved)


def _read(keyboard: int, seconds: float) -> str:
    """What was typed within ``seconds``; ^D where the terminal has gone."""
    if not select.select([keyboard], [], [], max(seconds, 0))[0]:
        return ""
    return os.read(keyboard, 256).decode(errors="ignore") or "\x04"


def _look(watched: Watch, before: Sequence[Busy]) -> tuple[Sequence[Busy], str]:
    """A libvirtd that is being restarted ends nothing: what was seen last stays, and why."""
    try:
        return watched.look(), ""
    except MachineError as error:
        return before, f"as before: {error.message}"


def _drawn(
    machines: Sequence[Busy], view: View, watched: Watch, screen: Rich, fault: str, *, pss: bool
) -> RenderableType:
    running = [busy for busy in machines if busy.counters.active]
    wanted = [busy for busy in running if view.wanted.lower() in busy.counters.name.lower()]
    ordered = sorted_machines(wanted, view.sort, reverse=view.reverse)
    shown = ordered[min(view.skipped, max(len(ordered) - 1, 0)) :]
    chosen = columns(pss=pss, width=screen.width, machines=shown, devices=view.devices)
    drawn = [line for busy in shown for line in lines(busy, chosen, devices=view.devices)]
    room = max(screen.height - _ABOVE - _BELOW, 1)
    more = f"{len(drawn) - room} more lines: j" if len(drawn) > room else ""
    foot = filter(None, [fault or more or next(iter(hints(shown)), ""), HELP])
    head = _line(_head(machines, running, view, watched), "bold")
    return Group(head, _table(chosen, drawn[:room]), *(_line(text, "dim") for text in foot))


def _table(chosen: Sequence[Column], drawn: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="reverse", pad_edge=False)
    for column in chosen:
        left = column.title in ("NAME", "STATE", "CPUS", "NODE")
        table.add_column(column.title, justify="left" if left else "right", no_wrap=True, overflow="ellipsis")
    for line in drawn:
        table.add_row(*line)
    return table


def _line(text: str, style: str) -> Text:
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def _head(machines: Sequence[Busy], running: Sequence[Busy], view: View, watched: Watch) -> str:
    busy = 100 * sum(each.load.cpu_of_host for each in running if each.load)
    names = f"/{view.wanted}{'_' if view.typing else ''}  " if view.typing or view.wanted else ""
    words = f"{len(running)} running, {len(machines) - len(running)} off, {busy:.0f}% of {watched.host_cpus} CPUs"
    return f"{names}by {view.sort}{' reversed' if view.reverse else ''}: {words}"
