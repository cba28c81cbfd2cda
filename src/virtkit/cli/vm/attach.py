"""``virtkit vm attach``."""

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
    parser.add_argument("--bridge", metavar="BRIDGE", required=True, help="a bridge of this host")
    parser.add_argument("--nic", metavar="MAC", default="", help="which network card, if the machine has several")
    parser.add_argument("--verify", action="store_true", help="put all back unless the guest is reached there")
    parser.add_argument("--timeout", metavar="N", type=float, default=60, help="seconds that --verify waits (60)")
    parser.add_argument("--restart", action="store_true", help="shut down, move, start: not while it runs")
    options.change(parser)
    parser.set_defaults(run=_attach)


def _attach(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    chosen = {"mac": args.nic, "verify": args.verify, "restart": args.restart, "seconds": args.timeout}
    return carry_out(vm.attach(args.name, args.bridge, **chosen), args, console)
