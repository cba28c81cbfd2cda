"""``virtkit vm edit``: a machine's whole definition, in an editor or from a file."""

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
    parser.add_argument(
        "--xml", metavar="FILE", help="the new definition; -: standard input; without it, $EDITOR opens"
    )
    options.change(parser)
    parser.set_defaults(run=_edit)


def _edit(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    if args.xml:
        return carry_out(vm.edit(args.name, _read(args.xml)), args, console, details=True)
    return _by_hand(args, console)


def _read(path: str) -> str:
    from virtkit.core.errors import SystemCallError

    try:
        if path == "-":
            return sys.stdin.read()
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as error:
        raise SystemCallError(path, error) from error


def _by_hand(args: argparse.Namespace, console: Console) -> int:
    """What was typed is lost only once it counts, or was found to change nothing."""
    import shlex
    from tempfile import NamedTemporaryFile

    from virtkit import vm
    from virtkit.cli.change import carry_out
    from virtkit.core.errors import UsageError, VirtkitError
    from virtkit.core.system import System

    if not os.isatty(sys.stdin.fileno()):
        raise UsageError("edit: no terminal for an editor", hint=f"virtkit vm edit {args.name} --xml FILE")
    editor = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    with NamedTemporaryFile("w", prefix="virtkit-", suffix=".xml", encoding="utf-8", delete=False) as file:
        file.write(vm.definition(args.name))
    try:
        System().hand_over([*editor, file.name])
    except VirtkitError:
        os.unlink(file.name)
        raise
    try:
        status = carry_out(vm.edit(args.name, _read(file.name)), args, console, details=True)
    except VirtkitError as error:
        error.hint = error.hint or f"virtkit vm edit {args.name} --xml {file.name}   (what you typed is there)"
        raise
    if status == 0:
        os.unlink(file.name)
    else:
        console.note(f"what you typed is in {file.name}")
    return status
