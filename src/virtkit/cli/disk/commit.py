"""``disk commit``: what an image holds, written into one of its backing files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, refused
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.commitment import Committed


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("-b", dest="base", metavar="BASE", help="a deeper backing file; FILE is not emptied then")
    parser.add_argument("-d", dest="drop", action="store_true", help="do not empty FILE: it will be deleted")
    parser.add_argument("-r", dest="rate", metavar="RATE", type=parse_size, default=0, help="bytes a second, as 10M")
    parser.add_argument("-t", dest="cache", metavar="CACHE", help="as qemu-img's; the end is always flushed")
    arguments.progress(parser)
    parser.add_argument(
        "--force", action="store_true", help="although the backing file has changed, as when a commit was broken off"
    )
    arguments.source(parser)
    arguments.backing(parser)
    options.change(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    parser.set_defaults(run=_commit)


def _commit(args: argparse.Namespace, console: Console) -> int:
    looked = _do(args, console, dry_run=True)
    status = consent.settle(_proposal(args, looked), args, console, ask=True)
    if status is not None:
        return status
    done = _do(args, console, dry_run=False)
    if console.json:
        console.data({"filename": args.file, **done._asdict()})
    elif not console.quiet:
        for step in _steps(args.file, done):
            console.line(f"✓ {step.text}")
    return 0


def _do(args: argparse.Namespace, console: Console, *, dry_run: bool) -> Committed:
    from virtkit import disk

    with console.transfer(asked=args.progress) as report:
        return disk.commit(
            args.file,
            args.base,
            drop=args.drop,
            force=args.force,
            rate=args.rate,
            dry_run=dry_run,
            source_format=args.source_format,
            access=arguments.access(args),
            report=report,
        )


def _proposal(args: argparse.Namespace, looked: Committed) -> consent.Proposal:
    notes = [f"what {looked.base} held there is lost; other images on it read something else afterwards"]
    if args.base:
        notes.append(f"images between {looked.base} and {args.file} are worth nothing afterwards")
    return consent.Proposal(f"commit {args.file}", tuple(_steps(args.file, looked)), tuple(notes))


def _steps(path: str, found: Committed) -> list[consent.Step]:
    grown = "" if found.grown_from is None else f", grown from {format_size(found.grown_from)}"
    zeros = f" and {format_size(found.zeroed)} of zeros" if found.zeroed else ""
    steps = [consent.Step("~", f"{found.base}: {format_size(found.moved)}{zeros} written into it{grown}")]
    if found.emptied:
        steps.append(consent.Step("-", f"{path}: emptied"))
    return steps
