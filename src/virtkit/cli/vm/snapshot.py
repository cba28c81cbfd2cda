"""``virtkit vm snapshot``: a machine's earlier states."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.recipes.snapshots import Kept


def build(parser: Arguments) -> None:
    facts.named(parser)
    parts = parser.add_subparsers(metavar="WHAT", required=True, dest="part")
    for name, (fill, run, about) in PARTS.items():
        part = parts.add_parser(name, help=about)
        fill(part)
        part.set_defaults(run=run)


def _fill_create(parser: Arguments) -> None:
    parser.add_argument("snapshot", metavar="SNAPSHOT", nargs="?", default="", help="its name; else the time")
    kind = parser.add_mutually_exclusive_group()
    ways = {"external": "the machine goes on in a new overlay", "internal": "the images keep it in themselves"}
    for word, about in ways.items():
        told = f"{about} (default: as those that there are, else external)"
        kind.add_argument(f"--{word}", dest="kind", action="store_const", const=word, default="", help=told)
    parser.add_argument("--memory", action="store_true", help="of a running machine, too: it goes on where it was")
    calm = parser.add_mutually_exclusive_group()
    calm.add_argument("--freeze", action="store_true", default=None, help="its file systems, or fail (if it can)")
    calm.add_argument("--no-freeze", dest="freeze", action="store_false", help="as after a power cut")
    parser.add_argument("--directory", metavar="DIR", default="", help="of the overlays; else beside the disks")
    parser.add_argument("--description", metavar="TEXT", default="", help="what it is good for")
    options.change(parser)


def _fill_named(parser: Arguments) -> None:
    parser.add_argument("snapshot", metavar="SNAPSHOT")


def _fill_change(parser: Arguments) -> None:
    _fill_named(parser)
    options.change(parser)


def _fill_show(parser: Arguments) -> None:
    _fill_named(parser)
    options.output(parser)


def _create(args: argparse.Namespace, console: Console) -> int:
    import os

    from virtkit import vm
    from virtkit.cli.change import carry_out

    plan = vm.create_snapshot(
        args.name,
        args.snapshot,
        kind=args.kind,
        memory=args.memory,
        freeze=args.freeze,
        directory=os.path.abspath(args.directory) if args.directory else "",
        description=args.description,
    )
    return carry_out(plan, args, console, ask=False)


def _list(args: argparse.Namespace, console: Console) -> int:
    from virtkit.recipes.snapshots import listing

    found = listing(args.name)
    if console.json:
        console.data([dict(each._asdict()) for each in found])
    elif not found:
        console.line("no snapshots yet")
    else:
        console.table(("SNAPSHOT", "KIND", "TAKEN", "MEMORY", "TAKES", "AFTER"), [_row(each) for each in found])
        console.lines(f"{each.name}: {', '.join(each.missing)} is missing" for each in found if each.missing)
    return 0


def _show(args: argparse.Namespace, console: Console) -> int:
    from virtkit.core.errors import NotFoundError
    from virtkit.recipes.snapshots import listing

    found = next((each for each in listing(args.name) if each.name == args.snapshot), None)
    if found is None:
        hint = f"virtkit vm snapshot {args.name} list"
        raise NotFoundError(f"{args.name}: has no snapshot {args.snapshot}", hint=hint)
    if console.json:
        console.data(dict(found._asdict()))
        return 0
    name, kind, taken, memory, size, parent = _row(found)
    console.line(f"{name}: {kind}, taken {taken}, memory: {memory}, takes {size}, after {parent}")
    if found.description:
        console.line(found.description)
    console.lines(f"  {file}{' is missing' if file in found.missing else ''}" for file in found.files)
    return 0


def _revert(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.recipes.snapshots import revert

    return carry_out(revert(args.name, args.snapshot), args, console)


def _delete(args: argparse.Namespace, console: Console) -> int:
    from virtkit.cli.change import carry_out
    from virtkit.recipes.snapshots import delete

    return carry_out(delete(args.name, args.snapshot), args, console)


def _row(each: Kept) -> tuple[str, ...]:
    import time

    from virtkit.core.units import format_size

    return (
        f"{each.name}{' *' if each.current else ''}",
        each.kind,
        time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(each.created)),
        "yes" if each.memory else "no",
        "?" if each.size is None else format_size(each.size),
        each.parent or "-",
    )


PARTS = {
    "create": (_fill_create, _create, "keep it as it is now, running or not"),
    "list": (options.output, _list, "all of them, with what each takes; *: it goes on from this one"),
    "show": (_fill_show, _show, "one of them, and its files"),
    "revert": (_fill_change, _revert, "go back; what was written since can be gone back to, too"),
    "delete": (_fill_change, _delete, "forget one; the machine stays as it is now"),
}
