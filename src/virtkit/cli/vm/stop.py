"""``virtkit vm stop``."""

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
    parser.add_argument("--seconds", metavar="N", type=int, default=60, help="how long to wait (default: 60)")
    options.change(parser)
    parser.set_defaults(run=_stop)


def _stop(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.stop(args.name, seconds=args.seconds), args, console, ask=False)
