"""What many commands share: how they are parsed, and their flags."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING, NoReturn

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Fill = Callable[[argparse.ArgumentParser], None]

PLAN_HAS_CHANGES = 3  # exit status of --plan
argparse._ = str  # type: ignore[attr-defined]  # nobody translates its words; to look for that, it imports locale (2 ms)
WORDS = "words"  # a default of the noun's parser: what follows the noun on the command line


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse makes one per argument to check it, and would import shutil (2 ms) for the terminal's width."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=_columns() - 2)


def _columns() -> int:
    wanted = os.environ.get("COLUMNS", "")
    if wanted.isdecimal() and int(wanted):
        return int(wanted)
    try:
        return os.get_terminal_size().columns or 80
    except OSError:  # standard output is no terminal
        return 80


class Parser(argparse.ArgumentParser):
    """Wrong usage is an error like any other."""

    def __init__(self, *, prog: str | None = None, description: str | None = None, epilog: str | None = None) -> None:
        super().__init__(prog=prog, description=description, epilog=epilog, formatter_class=_Help)

        self.mixed = False  # see mixed()

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  as argparse has it
        """Where words are mixed, argparse first takes the options out and comes back here for both halves."""
        if not self.mixed:
            return super().parse_known_args(args, namespace)
        self.mixed = False
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.mixed = True

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"{self.prog} --help")


def mixed(parser: argparse.ArgumentParser) -> None:
    """Files may stand before, between and behind options although their number is open; argparse alone cannot."""
    if isinstance(parser, Parser):
        parser.mixed = True


def in_hand(known: Mapping[str, str], words: Sequence[str]) -> list[str]:
    """The command that comes first in ``words``; all of them where none does: for --help, and for a good error."""
    return [words[0]] if words and words[0] in known else list(known)


def verbs(parser: argparse.ArgumentParser, known: Mapping[str, tuple[Fill, str]]) -> None:
    """``verb -> (adds its arguments, what it does)``; only the verb in hand costs time."""
    commands = parser.add_subparsers(metavar="VERB", required=True, dest="verb")
    abouts = {verb: about for verb, (_, about) in known.items()}
    for verb in in_hand(abouts, parser.get_default(WORDS) or ()):
        known[verb][0](commands.add_parser(verb, help=abouts[verb]))


def output(parser: argparse.ArgumentParser) -> None:
    """``--output human|json``, ``-q``, ``-v``: every command has them."""
    parser.add_argument("--output", choices=("human", "json"), default="human", help="human (default) or json")
    parser.add_argument("-q", "--quiet", action="store_true", help="print results and errors only")
    parser.add_argument("-v", "--verbose", action="store_true", help="print more of what is done and why")


def change(parser: argparse.ArgumentParser) -> None:
    """``--plan`` and ``-y``: every command that changes something has them."""
    output(parser)
    parser.add_argument(
        "--plan",
        "--dry-run",
        action="store_true",
        help="show what would change and stop: exit status 3, or 0 if nothing",
    )
    parser.add_argument("-y", "--yes", action="store_true", help="do not ask")
