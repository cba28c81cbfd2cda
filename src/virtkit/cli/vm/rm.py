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
    what.add_argument(
        "--volumes", action="store_true", help="logical volumes that are its disks go, too: else they stay"
    )
    parser.add_argument("--force", action="store_true", help="one that runs, too: its plug is pulled first")
    options.change(parser)
    parser.set_defaults(run=_rm)


def _rm(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.core.journal import Journal
    from virtkit.core.system import System
    from virtkit.recipes.removal import Way, remove

    way = Way(args.keep_disks, args.volumes, args.trash, args.force)
    return carry_out(remove(args.name, Journal.default(), way, System()), args, console)
