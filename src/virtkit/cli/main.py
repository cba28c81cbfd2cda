"""The command line: finds the noun's module, parses, turns errors into messages and exit statuses.

Only the module of the noun in hand is imported: ``virtkit --version`` and ``disk info`` must start at once.
"""

from __future__ import annotations

import argparse
import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING, NoReturn

from virtkit import __version__
from virtkit.core.errors import UsageError, VirtkitError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from virtkit.cli.show import Console

    Run = Callable[[argparse.Namespace, Console], int]

NOUNS = {  # noun -> what it is about; the module is virtkit.cli.<noun>
    "disk": "disk images: info, map, convert, compare, check",
    "vm": "virtual machines over libvirt",
    "net": "this host's links and bridges",
    "host": "this host: KVM, memory, CPUs, schedulers",
}
VERBS = {  # verb without a noun -> (module, what it does)
    "up": ("machine", "make what a declarative file describes"),
    "down": ("machine", "undo what a declarative file made; disks are kept unless asked"),
    "plan": ("machine", "show what up would change; exit status 3 if anything"),
    "status": ("machine", "wanted, live and persistent state side by side"),
    "demo": ("demo", "build a guest and a LAN on this host and take an image to a running, bridged, pinned VM"),
    "history": ("history", "changes that virtkit made to this host"),
    "undo": ("history", "take a change back; without an ID the newest"),
}
INTERRUPTED = 130  # exit status


def main(arguments: Sequence[str] | None = None) -> int:
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv == ["--version"]:
        sys.stdout.write(f"virtkit {__version__}\n")
        return 0
    from virtkit.cli.show import Console  # not for --version

    console = Console()
    try:
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, _interrupt)
        args = _parser(argv).parse_args(argv)
        console.configure(args)
        run: Run = args.run
        status = run(args, console)
        sys.stdout.flush()
    except VirtkitError as error:
        console.error(error)
        return error.exit_status
    except KeyboardInterrupt:
        console.note("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone (| head): not a fault, and nobody to tell
        sys.stderr.close()
        return 0
    return status


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM and a lost terminal end the work as Ctrl-C does: what was begun is undone."""
    raise KeyboardInterrupt


class _Parser(argparse.ArgumentParser):
    """Wrong usage is an error like any other."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"{self.prog} --help")


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="virtkit",
        description="Disks, networks, machines and tuning for KVM hosts.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"virtkit {__version__}")
    first = next((word for word in argv if not word.startswith("-")), "")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    for noun, about in NOUNS.items():
        command = commands.add_parser(noun, help=about, description=about)
        if noun == first:
            import_module(f"virtkit.cli.{noun}").build(command)
    for verb, (module, about) in VERBS.items():
        command = commands.add_parser(verb, help=about, description=about)
        if verb == first:
            import_module(f"virtkit.cli.{module}").build(command, verb)
    return parser


_EPILOG = """\
exit status: 0 done, 1 failed, 2 usage, 3 the plan holds changes, 4 rolled back, 130 interrupted
"""
