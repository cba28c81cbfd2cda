"""``virtkit vm clone``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import create, facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("new", metavar="NEW", help="name of the new machine")
    parser.add_argument(
        "--by",
        choices=("copy", "reflink", "overlay"),
        default="copy",
        help="copy; reflink: shares blocks until they are written; overlay: stands on a template's disks",
    )
    parser.add_argument("--directory", metavar="DIR", default="", help="where its disks go; else beside NAME's")
    create.cloud_init(parser)
    parser.add_argument("--start", action="store_true", help="start it, too")
    options.change(parser)
    parser.set_defaults(run=_clone)


def _clone(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System
    from virtkit.recipes.making.clone import plan_clone
    from virtkit.recipes.making.order import Way

    way = Way(args.by, create.absolute(args.directory), create.login(args), args.start)
    return carry_out(plan_clone(args.name, args.new, way, System()), args, console)
