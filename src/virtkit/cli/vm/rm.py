"""``virtkit vm rm``: asked first, every file named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    facts.named(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--keep-disks", action="store_true", help="its disks and their snapshots' images stay")
    what.add_argument("--trash", action="store_true", help="files only get hidden names: undo brings all of it back")
    parser.add_argument("--force", action="store_true", help="one that runs, too: its plug is pulled first")
    options.change(parser)
    parser.set_defaults(run=_rm)


def _rm(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.core.journal import Journal
    from virtkit.recipes.removal import remove

    plan = remove(args.name, Journal.default(), keep_disks=args.keep_disks, force=args.force, trash=args.trash)
    return carry_out(plan, args, console)
