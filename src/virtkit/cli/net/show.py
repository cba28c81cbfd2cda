"""``virtkit net show``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.net import View


def build(parser: Arguments) -> None:
    parser.add_argument("name", metavar="IF", nargs="?", help="only this link, with all of its routes")
    options.output(parser)
    parser.set_defaults(run=_show)


def _show(args: argparse.Namespace, console: Console) -> int:
    from virtkit.net import show

    views = show(args.name)
    if console.json:
        console.data([view.data() for view in views])
        return 0
    columns = ("LINK", "KIND", "STATE", "MAC", "MTU", "ADDRESSES", "BRIDGE OR PORTS", "DEFAULT ROUTE")
    console.table(columns, [_row(view) for view in views])
    if args.name or console.verbose:
        for view in views:
            for route in view.routes:
                console.line(f"{view.link.name}: route {route.line(view.link.index)}")
    return 0


def _row(view: View) -> Sequence[str]:
    link = view.link
    belongs = f"in {view.master}" if view.master else " ".join(view.ports)
    return (
        link.name,
        view.kind,
        state(view),
        link.mac,
        str(link.mtu),
        " ".join(address.text for address in view.addresses),
        belongs,
        " ".join(f"via {gateway}" if gateway else "direct" for gateway in view.gateways),
    )


def state(view: View) -> str:
    """An administrator's "down" and a cable's are two things; loopback and tap know no other state than "unknown"."""
    if not view.link.up:
        return "down"
    return "up" if view.link.state in {"up", "unknown"} else "no carrier"
