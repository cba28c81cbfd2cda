"""``disk resize``: a longer or a shorter disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, refused
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.growth import Resized


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("size", metavar="SIZE", help="the new size, as 10G; +1G longer, -1G shorter")
    parser.signed = True  # -1G
    arguments.source(parser)
    arguments.progress(parser)
    parser.add_argument("--shrink", action="store_true", help="cut off what lies behind the new end")
    parser.add_argument(
        "--preallocation",
        default="off",
        metavar="off|metadata|falloc|full",
        help="of the new room: nothing (default), its metadata, room of the file system, zeros written",
    )
    parser.add_argument("--force", action="store_true", help="cut through partitions too")
    arguments.backing(parser)
    options.change(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    parser.set_defaults(run=_resize)


def _resize(args: argparse.Namespace, console: Console) -> int:
    looked = _do(args, console, dry_run=True)
    status = consent.settle(_proposal(args.file, looked), args, console, ask=looked.after < looked.before)
    if status is not None:
        return status
    done = _do(args, console, dry_run=False)
    if console.json:
        sizes = {"filename": args.file, "virtual-size-before": done.before, "virtual-size": done.after}
        console.data({**sizes, "notes": list(done.notes)})
        return 0
    if not console.quiet:
        console.line(f"✓ {_told(args.file, done)}")
    for note in done.notes:
        console.note(f"note: {note}")
    return 0


def _do(args: argparse.Namespace, console: Console, *, dry_run: bool) -> Resized:
    from virtkit import disk

    relative = args.size[:1] in {"+", "-"}
    amount = parse_size(args.size[1:] if relative else args.size)
    with console.transfer(asked=args.progress) as report:
        return disk.resize(
            args.file,
            None if relative else amount,
            by=(-amount if args.size[0] == "-" else amount) if relative else None,
            shrink=args.shrink,
            preallocation=args.preallocation,
            force=args.force,
            dry_run=dry_run,
            source_format=args.source_format,
            access=arguments.access(args),
            report=report,
        )


def _proposal(path: str, looked: Resized) -> consent.Proposal:
    if looked.before == looked.after:
        return consent.Proposal(f"resize {path}", ())
    sign = "-" if looked.after < looked.before else "~"
    return consent.Proposal(f"resize {path}", (consent.Step(sign, _told(path, looked)),), looked.notes)


def _told(path: str, found: Resized) -> str:
    after = f"{format_size(found.after)} ({found.after} bytes)"
    if found.before == found.after:
        return f"{path}: is {after} already"
    lost = f"; the last {format_size(found.before - found.after)} are cut off" if found.after < found.before else ""
    return f"{path}: {format_size(found.before)} -> {after}{lost}"
