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
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--bridge", metavar="BRIDGE", default="", help="a bridge of this host")
    where.add_argument("--network", metavar="NETWORK", default="", help="one of libvirt's, as in default: back to NAT")
    parser.add_argument("--nic", metavar="MAC", default="", help="which network card, if the machine has several")
    parser.add_argument("--verify", action="store_true", help="put all back unless the guest is reached there")
    parser.add_argument("--timeout", metavar="N", type=float, default=60, help="seconds that --verify waits (60)")
    parser.add_argument("--restart", action="store_true", help="shut down, move, start: not while it runs")
    options.change(parser)
    parser.set_defaults(run=_attach)


def _attach(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.cli.change import carry_out

    where = {"bridge": args.bridge, "network": args.network, "mac": args.nic}
    how = {"verify": args.verify, "restart": args.restart, "seconds": args.timeout}
    return carry_out(vm.attach(args.name, **where, **how), args, console)
