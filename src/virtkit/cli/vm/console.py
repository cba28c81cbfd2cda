"""``virtkit vm console``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.console import Line


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("--seconds", metavar="N", type=float, help="leave after this time, without a terminal too")
    parser.add_argument("--force", action="store_true", help="throw out whoever has the console")
    parser.add_argument("--lines", metavar="N", type=int, help="of what it said before (100; without a terminal 0)")
    parser.add_argument("--escape", metavar="KEY", default="^]", help="the key that leaves, as in ^A (^])")
    options.output(parser)
    parser.set_defaults(run=_console)


def _console(args: argparse.Namespace, console: Console) -> int:
    from virtkit.vm.console import line

    keyboard = sys.stdin.fileno()
    person = os.isatty(keyboard)
    leave = _key(args.escape)
    with line(args.name, force=args.force) as opened:
        _tell_past(opened, (100 if person else 0) if args.lines is None else args.lines, console)
        if person:
            ended = _visit(opened, args, leave, console)
            console.note(f"\n{args.name}: {ended}")
        else:
            console.note(opened.talk(_hear, keyboard=keyboard, seconds=args.seconds))
    return 0


def _visit(opened: Line, args: argparse.Namespace, leave: bytes, console: Console) -> str:
    from virtkit.cli.terminal import Modes
    from virtkit.vm.console import raw_terminal

    modes = Modes()

    def hear(heard: bytes) -> None:
        modes.hear(heard)
        _hear(heard)

    keyboard = sys.stdin.fileno()
    with raw_terminal(keyboard):  # before the greeting: what is typed after it must reach the guest
        console.note(f"{args.name}: serial console; {args.escape} leaves; the Enter key wakes a quiet guest\r")
        try:
            return opened.talk(hear, keyboard=keyboard, seconds=args.seconds, leave=leave)
        finally:
            if sys.stdout.isatty():
                _hear(modes.undo())


def _tell_past(opened: Line, lines: int, console: Console) -> None:
    from virtkit.core.errors import NotSupportedError, SystemCallError
    from virtkit.core.system import System
    from virtkit.vm import scrollback

    if lines <= 0:
        return
    try:
        past = scrollback.read(opened.machine, System(), lines)
    except (SystemCallError, NotSupportedError) as error:  # another user's, another host's: no reason not to talk
        console.note(f"note: what it said before is not shown: {error.message}")
        return
    if not past.path:
        console.note(f"note: what it said before is not kept; to keep it: {past.hint}")
    elif past.said:
        console.note(f"---- {past.path} ----")
        _hear(past.said.rstrip(b"\r\n") + b"\x1b[0m\r\n")
        console.note("---- now ----")


def _key(said: str) -> bytes:
    """``^]`` -> 0x1d: a letter or sign with Ctrl. UsageError for anything else."""
    from virtkit.core.errors import UsageError

    if len(said) != 2 or said[0] != "^" or not "@" <= said[1].upper() <= "_":  # noqa: PLR2004  ^ and the key
        raise UsageError(f"escape is {said!r}, expected ^ and a letter or one of @ [ \\ ] ^ _", hint="--escape ^A")
    return bytes([ord(said[1].upper()) & 0x1F])


def _hear(heard: bytes) -> None:
    sys.stdout.buffer.write(heard)
    sys.stdout.buffer.flush()
