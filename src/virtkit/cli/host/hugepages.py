"""``virtkit host hugepages``: the pools, who uses them, and how to change them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.core.units import divide_up, format_size, parse_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.host.pools import Pool
    from virtkit.recipes.hugepages import Stock, Usage


def build(parser: Arguments) -> None:
    options.output(parser)
    parser.set_defaults(run=_show)
    parts = parser.add_subparsers(metavar="show|set|free", dest="part")
    show = parts.add_parser("show", help="who uses them, which wait for machines that are off, which are stranded")
    options.output(show)
    show.set_defaults(run=_show)
    _build_set(parts.add_parser("set", help="so many pages in a node's pool: now, and early at every boot"))
    free = parts.add_parser("free", help="give back what no process uses or was promised")
    _node(free)
    options.change(free)
    free.set_defaults(run=_free)


def _build_set(parser: Arguments) -> None:
    parser.add_argument("size", metavar="SIZE", type=parse_size, help="of a page: 2M or 1G")
    parser.add_argument("count", metavar="COUNT", type=int, help="pages in all; 0: none")
    _node(parser)
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--runtime", action="store_true", help="now only: a reboot takes it away")
    when.add_argument("--persistent", action="store_true", help="from the next boot on only: now nothing changes")
    options.change(parser)
    parser.set_defaults(run=_set)


def _node(parser: Arguments) -> None:
    parser.add_argument("--node", metavar="N", type=int, help="the NUMA node; where there is one it need not be named")


def _set(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System

    run_time, persistent = not args.persistent, not args.runtime
    plan = host.set_hugepages(System(), args.size, args.count, args.node, run_time=run_time, persistent=persistent)
    return carry_out(plan, args, console, details=True)


def _free(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host
    from virtkit.cli.change import carry_out
    from virtkit.core.system import System

    return carry_out(host.free_hugepages(System(), args.node), args, console)


def _show(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.system import System
    from virtkit.recipes.hugepages import usage

    found = usage(System())
    if console.json:
        console.data(found.data())
        return 0
    if not found.pools:
        console.line("huge pages: not available: this kernel has none")
        return 0
    console.table(
        ("NODE", "PAGE", "POOL", "MEMORY", "FREE", "AT BOOT", "USED BY"), [_row(pool) for pool in found.pools]
    )
    console.lines(_lines(found))
    return 0


def _row(pool: Pool) -> tuple[str, ...]:
    users = ", ".join(f"{holder.name} {holder.pages(pool.node, pool.size)}" for holder in pool.holders)
    memory = format_size(pool.total * pool.size)
    at_boot = "-" if pool.at_boot is None else str(pool.at_boot)
    return str(pool.node), format_size(pool.size), str(pool.total), memory, str(pool.free), at_boot, users or "-"


def _lines(found: Usage) -> Iterator[str]:
    for claim in found.claims:
        if not claim.active:
            pages = divide_up(claim.memory, claim.size)
            yield f"{claim.name}: is off, and will want {pages} pages of {format_size(claim.size)}"
    if found.libvirt:
        yield f"machines that are off are not known: {found.libvirt}"
    for stock in found.stocks:
        yield from _judged(stock, found)
    if found.claims and not found.mounted:
        yield "✗ hugetlbfs is not mounted, and libvirt starts no machine on huge pages without it"
        yield "  to mend that: systemctl start dev-hugepages.mount; systemctl restart libvirtd (or virtqemud)"


def _judged(stock: Stock, found: Usage) -> Iterator[str]:
    page = format_size(stock.size)
    if stock.reserved:
        yield f"{stock.reserved} of the free pages of {page} are promised to a process that has not touched them yet"
    if stock.stranded:
        where = ", ".join(str(pool.node) for pool in found.pools if pool.size == stock.size and pool.free)
        memory = format_size(stock.stranded * stock.size)
        yield f"✗ stranded: {memory}: {stock.stranded} free pages of {page} (node {where}) that no machine asks for"
        yield "  to give them back: virtkit host hugepages free"
    if stock.short:
        yield f"✗ {stock.short} pages of {page} lack for all machines that are off to start"
