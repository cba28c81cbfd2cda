"""``virtkit vm log``: what QEMU said, the last start marked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.vm.logbook import Log


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("--last", action="store_true", help="only what was said since the last start")
    parser.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until ^C")
    options.output(parser)
    parser.set_defaults(run=_log)


def _log(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.core.errors import UsageError

    if args.follow and console.json:
        raise UsageError(f"{args.name}: --follow has no end, and JSON needs one", hint=f"virtkit vm log {args.name} -f")
    log = vm.log(args.name)
    begin = log.last_start or 0 if args.last else 0
    if console.json:
        start = None if log.last_start is None else log.last_start - begin
        console.data({"path": log.path, "last_start": start, "lines": [*log.lines[begin:]]})
        return 0
    _show(log, begin, console)
    if args.follow:
        _follow(log, console)
    return 0


def _show(log: Log, begin: int, console: Console) -> None:
    console.note(log.path)
    for index, line in enumerate(log.lines[begin:], begin):
        if index == log.last_start:
            console.line("---- last start ----")
        console.line(line)


def _follow(log: Log, console: Console) -> None:
    from virtkit.core.system import System
    from virtkit.vm.logbook import follow

    for added in follow(System().path(log.path), log.size):
        console.write(added)
        console.flush()
