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


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("--seconds", metavar="N", type=float, help="leave after this time, without a terminal too")
    parser.add_argument("--force", action="store_true", help="throw out whoever has the console")
    options.output(parser)
    parser.set_defaults(run=_console)


def _console(args: argparse.Namespace, console: Console) -> int:
    from virtkit.vm.console import converse, raw_terminal

    keyboard = sys.stdin.fileno()
    if not os.isatty(keyboard):
        console.note(converse(args.name, _hear, keyboard=keyboard, seconds=args.seconds, force=args.force))
        return 0
    with raw_terminal(keyboard):  # before the greeting: what is typed after it must reach the guest
        console.note(f"{args.name}: serial console; ^] leaves; the Enter key wakes a quiet guest\r")
        ended = converse(args.name, _hear, keyboard=keyboard, seconds=args.seconds, force=args.force)
    console.note(f"\n{args.name}: {ended}")
    return 0


def _hear(heard: bytes) -> None:
    sys.stdout.buffer.write(heard)
    sys.stdout.buffer.flush()
