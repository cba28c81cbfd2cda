"""What many commands share: how they are parsed, and their flags."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence
    from typing import TypeAlias

    from virtkit.cli.parsing import Parser

    Arguments: TypeAlias = Parser
    Commands: TypeAlias = argparse._SubParsersAction[Parser]  # noqa: SLF001  it has no other name
    Fill = Callable[[Arguments], None]

PLAN_HAS_CHANGES = 3  # exit status of --plan


def in_hand(known: Mapping[str, str], words: Sequence[str]) -> list[str]:
    """The command that comes first in ``words``; all of them where none does: for --help, and for a good error."""
    return [words[0]] if words and words[0] in known else list(known)


def verbs(parser: Arguments, known: Mapping[str, tuple[Fill, str]]) -> None:
    """``verb -> (adds its arguments, what it does)``; only the verb in hand costs time."""
    commands = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    abouts = {verb: about for verb, (_, about) in known.items()}
    for verb in in_hand(abouts, parser.following):
        command = commands.add_parser(verb, help=abouts[verb])
        command.following = parser.following[1:]
        known[verb][0](command)


def output(parser: Arguments) -> None:
    """``--output human|json``, ``-q``, ``-v``: every command has them."""
    parser.add_argument("--output", choices=("human", "json"), default="human", help="human (default) or json")
    parser.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more of what is done and why")


def change(parser: Arguments) -> None:
    """``--plan`` and ``-y``: every command that changes something has them."""
    output(parser)
    parser.add_argument(
        "--plan",
        "--dry-run",
        action="store_true",
        help="show what would change and stop: exit status 3, or 0 if nothing",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")


def confirmation(parser: Arguments) -> None:
    """Every command that may cut its administrator off has them."""
    ways = parser.add_mutually_exclusive_group()
    ways.add_argument(
        "--confirm",
        metavar="SECONDS",
        type=int,
        default=60,
        help="put everything back unless it is confirmed by then (60); -y does not confirm",
    )
    ways.add_argument("--auto-confirm", action="store_true", help="keep it as soon as all that worked before works")
    ways.add_argument("--no-confirm", action="store_true", help="keep it without looking: a fault cuts this host off")


def checks(parser: Arguments) -> None:
    told = "accepts connections now and must after the move, or all is put back; may be given several times"
    parser.add_argument("--check", metavar="HOST:PORT", action="append", default=[], help=told)
