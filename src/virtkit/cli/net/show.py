"""``virtkit net show``: how this host's links stand to each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.net import View
    from virtkit.net.view import Traffic


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
    for view, before, below in _drawn(views):
        console.line(f"{before}{_head(view)}")
        for line in (*_facts(view), *(_routes(view) if args.name or console.verbose else ())):
            console.line(f"{below}{line}")
    return 0


def _drawn(views: Sequence[View]) -> Iterator[tuple[View, str, str]]:
    """Each link with what stands before its name, and before the lines about it."""
    names = {view.link.name for view in views}
    for view in views:
        if view.master not in names and view.lower not in names:
            yield view, "", "│  " if _children(view, views) else "   "
            yield from _branches(views, view, "")


def _branches(views: Sequence[View], parent: View, indent: str) -> Iterator[tuple[View, str, str]]:
    children = _children(parent, views)
    for child in children:
        last = child is children[-1]
        deeper = indent + ("   " if last else "│  ")
        yield child, indent + ("└─ " if last else "├─ "), deeper + ("│  " if _children(child, views) else "   ")
        yield from _branches(views, child, deeper)


def _children(view: View, views: Sequence[View]) -> list[View]:
    """Ports, and what stands on it; a VLAN that is a port is drawn with its bridge."""
    return [other for other in views if view.link.name == (other.master or other.lower)]


def _head(view: View) -> str:
    link = view.link
    parts = [link.name, view.kind, state(view), link.mac, f"mtu {link.mtu}"]
    if view.master and view.lower:
        parts.append(f"on {view.lower}")
    if view.speed and view.kind == "ethernet":  # a veth and a tap have one by name alone
        parts.append(f"{view.speed} Mbit/s")
    if link.bridge and link.bridge.stp:
        parts.append("STP on")
    if link.up and view.port_state not in {"", "forwarding"}:
        parts.append(view.port_state)
    return "  ".join(filter(None, parts))


def _facts(view: View) -> Iterator[str]:
    from virtkit.core.units import format_size

    if view.holder:
        named = f"machine {view.holder.machine}: " if view.holder.machine else ""
        yield f"{named}{view.holder.process}, pid {view.holder.pid}"
    if view.kind == "veth" and view.link.elsewhere:
        yield "leads to another network namespace"
    if view.addresses:
        yield "  ".join(address.text for address in view.addresses)
    for gateway in view.gateways:
        yield f"default route {f'via {gateway}' if gateway else 'directly'}"
    counts = view.counters
    if counts.rx.bytes or counts.tx.bytes:
        passed = (f"received {format_size(counts.rx.bytes)}", *_lost(counts.rx))
        yield ", ".join([*passed, f"sent {format_size(counts.tx.bytes)}", *_lost(counts.tx)])
    if view.owner:
        anew = f", written anew by {view.owner.writer}" if view.owner.writer else ""
        yield f"configured by {view.owner.backend}: {view.owner.because}{anew}"
    if view.ours:
        yield "made by virtkit"


def _lost(way: Traffic) -> list[str]:
    return [f"{number} {word}" for number, word in ((way.errors, "errors"), (way.dropped, "dropped")) if number]


def _routes(view: View) -> Iterator[str]:
    return (f"route {route.line(view.link.index)}" for route in view.routes)


def state(view: View) -> str:
    """An administrator's "down" and a cable's are two things; loopback and tap know no other state than "unknown"."""
    if not view.link.up:
        return "down"
    return "up" if view.link.state in {"up", "unknown"} else "no carrier"
