"""``virtkit net bridge port``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    add = verbs.add_parser("add", help="one more port, without addresses of its own")
    add.add_argument("--move", action="store_true", help="its addresses and routes move to the bridge")
    _finish(add, _add)
    _finish(verbs.add_parser("remove", help="a port that no addresses and no machine need"), _remove)


def _finish(parser: Arguments, run: object) -> None:
    parser.add_argument("bridge", metavar="BRIDGE")
    parser.add_argument("port", metavar="IF")
    options.checks(parser)
    options.change(parser)
    options.confirmation(parser)
    parser.set_defaults(run=run)


def _add(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.cli.confirm import wanted
    from virtkit.net import plan_add_port, plan_move_to_bridge

    plan = plan_move_to_bridge if args.move else plan_add_port
    return carry_out(plan(args.bridge, args.port, checks=args.check, confirm=wanted(args)), args, console)


def _remove(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.cli.confirm import wanted
    from virtkit.net import plan_remove_port

    plan = plan_remove_port(args.bridge, args.port, checks=args.check, confirm=wanted(args))
    return carry_out(plan, args, console)
