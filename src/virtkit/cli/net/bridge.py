"""``virtkit net bridge``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.net import port
from virtkit.cli.net.show import state

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.net import View


def build(parser: Arguments) -> None:
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", help="a bridge, over a port if one is given, without losing the network")
    create.add_argument("name", metavar="NAME", help="the new bridge, as in br0")
    create.add_argument("--port", metavar="IF", help="the link whose addresses and routes move to the bridge")
    create.add_argument("--stp", action="store_true", help="the spanning tree protocol, once the port forwards")
    options.checks(create)
    options.change(create)
    options.confirmation(create)
    create.set_defaults(run=_create)
    delete = verbs.add_parser("delete", help="give addresses and routes back to the port, and delete the bridge")
    delete.add_argument("name", metavar="NAME")
    delete.add_argument("--force", action="store_true", help="also a bridge that virtkit did not make")
    options.checks(delete)
    options.change(delete)
    options.confirmation(delete)
    delete.set_defaults(run=_delete)
    port.build(verbs.add_parser("port", help="add or remove further ports"))
    show = verbs.add_parser("show", help="the bridges and their ports")
    show.add_argument("name", metavar="NAME", nargs="?", help="only this bridge")
    options.output(show)
    show.set_defaults(run=_show_bridges)


def _create(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.cli.confirm import wanted
    from virtkit.net import plan_bridge

    plan = plan_bridge(args.name, args.port, stp=args.stp, checks=args.check, confirm=wanted(args))
    return carry_out(plan, args, console)


def _delete(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.cli.confirm import wanted
    from virtkit.net import plan_delete_bridge

    plan = plan_delete_bridge(args.name, force=args.force, checks=args.check, confirm=wanted(args))
    return carry_out(plan, args, console)


def _show_bridges(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.errors import NotFoundError
    from virtkit.net import show

    bridges = [view for view in show(args.name) if view.link.bridge]
    if args.name and not bridges:
        raise NotFoundError(f"{args.name}: is not a bridge", hint="virtkit net show")
    if console.json:
        console.data([view.data() for view in bridges])
    elif not bridges:
        console.line("no bridges")
    else:
        columns = ("BRIDGE", "STATE", "MAC", "MTU", "STP", "PORTS", "ADDRESSES", "MADE BY")
        console.table(columns, [_bridge_row(view) for view in bridges])
    return 0


def _bridge_row(view: View) -> Sequence[str]:
    link = view.link
    return (
        link.name,
        state(view),
        link.mac,
        str(link.mtu),
        "on" if link.bridge and link.bridge.stp else "off",
        " ".join(view.ports),
        " ".join(address.text for address in view.addresses),
        "virtkit" if view.ours else "others",
    )
