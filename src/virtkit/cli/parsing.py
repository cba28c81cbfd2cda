"""argparse as virtkit has it."""

from __future__ import annotations

import argparse
import os
import re
from typing import TYPE_CHECKING, NoReturn

from virtkit.core.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

argparse._ = str  # type: ignore[attr-defined]  # nobody translates its words; to look for that, it imports locale (2 ms)


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
        self.set_defaults(prog=self.prog)  # the last one that reads has the last word
        self.mixed = False  # options may stand between files whose number is open
        self.signed = False  # -1G is a value
        self.following: Sequence[str] = ()  # what stands behind it on the command line

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  as argparse has it
        """Where words are mixed, argparse first takes the options out and comes back here for both halves."""
        if self.signed:  # argparse has no other way to let -1G be no option
            self._negative_number_matcher = re.compile(r"-\d")
        if not self.mixed:
            return super().parse_known_args(args, namespace)
        self.mixed = False
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self.mixed = True

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """A word too many is told by the verb that does not know it, whose help is the one to read."""
        found: argparse.Namespace
        found, unknown = self.parse_known_args(words)  # type: ignore[no-untyped-call]
        if unknown:
            raise UsageError(f"unrecognized arguments: {' '.join(unknown)}", hint=f"{found.prog} --help")
        return found

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"{self.prog} --help")
