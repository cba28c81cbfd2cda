"""``disk compact``: an image's file made shorter in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    arguments.source(parser)
    arguments.progress(parser)
    arguments.backing(parser)
    options.change(parser)
    parser.set_defaults(run=_compact)


def _compact(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    with console.transfer(asked=args.progress) as report:
        done = disk.compact(args.file, args.source_format, arguments.access(args), dry_run=args.plan, report=report)
    if args.plan:
        text = f"{args.file}: {format_size(done.zeros)} of zeros give their room back, then the tail moves forward"
        proposal = consent.Proposal(f"compact {args.file}", (consent.Step("~", text),))
        return consent.settle(proposal, args, console, ask=False) or 0
    if console.json:
        console.data({"filename": args.file, **done._asdict()})
    elif not console.quiet:
        lengths = f"file {format_size(done.length_before)} -> {format_size(done.length_after)}"
        sizes = f"{format_size(done.before)} -> {format_size(done.after)} on disk"
        console.line(f"✓ {args.file}: {sizes}, {lengths} ({done.after} bytes on disk)")
    return 0
