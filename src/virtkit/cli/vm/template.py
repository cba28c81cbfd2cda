"""``virtkit vm template``."""

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
    parser.add_argument("--off", action="store_true", help="make it a machine again that can be started")
    options.change(parser)
    parser.set_defaults(run=_template)


def _template(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.recipes.making.template import plan_template

    return carry_out(plan_template(args.name, enabled=not args.off), args, console, ask=False)
