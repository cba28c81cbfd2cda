"""``disk append``: more room at the end of a raw disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.append import Appended


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE", help="a raw disk")
    parser.add_argument("size", metavar="SIZE", help="how much longer it becomes, as 4G")
    parser.add_argument(
        "--preallocation",
        default="off",
        choices=("off", "falloc", "full"),
        help="of the new room: nothing (default), room of the file system, zeros written",
    )
    parser.add_argument(
        "--trust-format", action="store_true", help="it is a raw disk although it carries another format's signature"
    )
    arguments.progress(parser)
    options.change(parser)
    parser.set_defaults(run=_append)


def _append(args: argparse.Namespace, console: Console) -> int:
    looked = _do(args, console, dry_run=True)
    proposal = consent.Proposal(f"append to {args.file}", (consent.Step("~", _told(args.file, looked)),), looked.notes)
    status = consent.settle(proposal, args, console, ask=False)
    if status is not None:
        return status
    done = _do(args, console, dry_run=False)
    if console.json:
        console.data(_data(args.file, done))
        return 0
    if not console.quiet:
        console.line(f"✓ {_told(args.file, done)}")
    for note in done.notes:
        console.note(f"note: {note}")
    return 0


def _do(args: argparse.Namespace, console: Console, *, dry_run: bool) -> Appended:
    from virtkit.disk.access import Access
    from virtkit.disk.append import append

    with console.transfer(asked=args.progress) as report:
        return append(
            args.file,
            parse_size(args.size.removeprefix("+")),
            preallocation=args.preallocation,
            dry_run=dry_run,
            access=Access(trust_format=args.trust_format),
            report=report,
        )


def _told(path: str, found: Appended) -> str:
    sizes = f"{format_size(found.before)} -> {format_size(found.after)} ({found.after} bytes)"
    taken = format_size(found.allocated_before)
    if found.allocated_after is not None:
        taken = f"{taken} -> {format_size(found.allocated_after)}"
    return f"{path}: {sizes}, on the file system {taken}"


def _data(path: str, found: Appended) -> dict[str, Json]:
    return {
        "filename": path,
        "virtual-size-before": found.before,
        "virtual-size": found.after,
        "actual-size-before": found.allocated_before,
        "actual-size": found.allocated_after,
        "notes": list(found.notes),
    }
