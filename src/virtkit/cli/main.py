"""The command line: finds the noun's module, parses, turns errors into messages and exit statuses.

Only the module of the noun in hand is imported: ``virtkit --version`` and ``disk info`` must start at once.
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from virtkit import __version__
from virtkit.core.errors import UsageError, VirtkitError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from types import FrameType
    from typing import NoReturn

    from virtkit.cli import parsing
    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console

    Run = Callable[[argparse.Namespace, Console], int]

NOUNS = {  # noun -> what it is about; the module is virtkit.cli.<noun>
    "disk": "disk images: qemu-img's verbs and more, on every format",
    "vm": "virtual machines over libvirt",
    "net": "this host's links and bridges",
    "host": "this host: what it is, how it is set, and what machines ask of it",
}
VERBS = {  # verb without a noun -> (module, what it does)
    "up": ("machine", "make what a declarative file describes"),
    "down": ("machine", "undo what a declarative file made; disks are kept unless asked"),
    "plan": ("machine", "show what up would change; exit status 3 if anything"),
    "status": ("machine", "wanted, live and persistent state side by side"),
    "demo": ("demo", "build a guest and a LAN on this host and take an image to a running, bridged, pinned VM"),
    "history": ("history", "changes that virtkit made to this host"),
    "confirm": ("confirm", "keep a change that waits for it; from a new connection"),
    "rollback": ("confirm", "take back at once a change that waits for its confirmation"),
    "recover": ("confirm", "put back what dead processes left open; the host's next start does it by itself"),
    "undo": ("history", "take a change back; without an ID the newest"),
}
NEED_LIBVIRT = ("vm", "up", "down", "plan", "status", "demo")
SETTLE_THEMSELVES = ("disk", "undo")  # what they change is no host's network, or is just what is open
INTERRUPTED = 130  # exit status
_ASKING = ("SIGUSR1", "SIGINFO")  # as for dd and qemu-img: how far is it? Never the end of a virtkit


def main(arguments: Sequence[str] | None = None) -> int:
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if argv == ["--version"]:
        sys.stdout.write(f"virtkit {__version__}\n")
        return 0
    from virtkit.cli.show import Console  # not for --version

    console = Console()
    try:
        status = _run(argv, console)
        console.flush()
    except BrokenPipeError:  # the reader of our output has gone (| head): not a fault, and nobody to tell
        console.abandon()
        return 0
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last place where a fault can be told
        return _failed(error, console)
    return status


def _run(argv: Sequence[str], console: Console) -> int:
    if not argv:
        console.line(_parser(argv).format_help().rstrip())
        return UsageError.exit_status
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup asks for that
            signal.signal(number, _interrupt)
    for name in _ASKING:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), console.tell)
    try:
        args = _parser(argv).read(argv)
    except SystemExit:  # --help has been answered
        return 0
    args.typed = argv
    console.configure(args)
    if args.command in NEED_LIBVIRT:
        _wake_libvirt(console)
    if getattr(args, "plan", None) is False and args.command not in SETTLE_THEMSELVES:
        _recover(console)
    run: Run = args.run
    return run(args, console)


def _recover(console: Console) -> None:
    """Before anything is planned: a change whose processes died is neither forgotten nor built upon."""
    from virtkit.cli.confirm import put_back_what_died

    put_back_what_died(console)


def _wake_libvirt(console: Console) -> None:
    """A daemon that virtkit started is said so, once: nobody should wonder where it came from."""
    from virtkit.vm import connection

    if started := connection.wake():
        console.note(f"libvirt did not run: {started}")


def _failed(error: BaseException, console: Console) -> int:
    """Tell what ended the work; its exit status holds even if nobody listens any more."""
    try:
        if isinstance(error, VirtkitError):
            console.error(error)
        elif isinstance(error, KeyboardInterrupt):
            console.note("interrupted")
        else:
            console.crash(error)
        console.flush()
    except (BrokenPipeError, VirtkitError):
        console.abandon()
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return error.exit_status if isinstance(error, VirtkitError) else 1


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """SIGTERM and a lost terminal end the work as Ctrl-C does: what was begun is undone."""
    raise KeyboardInterrupt


def _parser(argv: Sequence[str]) -> parsing.Parser:
    from virtkit.cli import parsing

    parser = parsing.Parser(
        prog="virtkit", description="Disks, networks, machines and tuning for KVM hosts.", epilog=_EPILOG
    )
    _declare(parser, argv)
    return parser


def _declare(parser: Arguments, argv: Sequence[str]) -> None:
    """What virtkit takes, as far as ``argv`` can ask for it."""
    from virtkit.cli import options

    parser.add_argument("--version", action="version", version=f"virtkit {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, dest="command")
    abouts = {**NOUNS, **{verb: about for verb, (_, about) in VERBS.items()}}
    for name in options.in_hand(abouts, argv):
        command = commands.add_parser(name, help=abouts[name], description=abouts[name])
        command.following = argv[1:]
        if argv and name == argv[0]:
            _build(name, command)


def _build(name: str, command: Arguments) -> None:
    if name in NOUNS:
        import_module(f"virtkit.cli.{name}").build(command)
    else:
        import_module(f"virtkit.cli.{VERBS[name][0]}").build(command, name)


_EPILOG = """\
exit status: 0 done, 1 failed, 2 usage, 3 the plan holds changes, 4 rolled back, 130 interrupted
"""
