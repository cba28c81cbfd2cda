"""``virtkit vm restart``."""

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
    parser.add_argument("--seconds", metavar="N", type=int, default=60, help="how long it may take (default: 60)")
    parser.add_argument("--force", action="store_true", help="pull the plug: what the guest has not written is lost")
    options.change(parser)
    parser.set_defaults(run=_restart)


def _restart(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    return carry_out(vm.restart(args.name, seconds=args.seconds, force=args.force), args, console, ask=False)
