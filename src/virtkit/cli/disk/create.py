"""``disk create``: a new, empty image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, making, refused
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.creation import Created


def build(parser: Arguments) -> None:
    parser.mixed = True
    parser.add_argument("file", metavar="FILE", nargs="?")
    parser.add_argument("size", metavar="SIZE", nargs="?", help="as 10G; left out: the backing file's")
    parser.add_argument("-f", dest="target_format", metavar="FORMAT", help="else the suffix of FILE says")
    making.options(parser)
    parser.add_argument("-b", dest="backing", metavar="FILE", help="backing file; kept as it is written here")
    parser.add_argument("-F", dest="backing_format", metavar="FORMAT", help="format of the backing file")
    parser.add_argument("-u", dest="unchecked", action="store_true", help="do not open the backing file")
    parser.add_argument("--overwrite", action="store_true", help="replace FILE if it exists, or write on the device")
    parser.add_argument("--durable", action="store_true", help="return when all is on stable storage")
    making.encryption(parser)
    arguments.old_secret(parser)
    arguments.backing(parser)
    options.change(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    parser.set_defaults(run=_create)


def _create(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    if making.asks_for_help(args):
        return making.show_options(_format(args), console)
    if args.file is None:
        raise arguments.missing("create", "FILE")
    chosen = making.parsed(args)
    made = disk.create(
        args.file,
        None if args.size is None else parse_size(args.size),
        target_format=args.target_format,
        options=chosen,
        backing=args.backing,
        backing_format=args.backing_format,
        unchecked=args.unchecked,
        overwrite=args.overwrite,
        durable=args.durable,
        dry_run=args.plan,
        secret=making.secret(args, chosen),
        access=arguments.access(args),
    )
    if args.plan:
        proposal = consent.Proposal(f"create {args.file}", (consent.Step("+", _told(made)),))
        return consent.settle(proposal, args, console, ask=False) or 0
    if console.json:
        console.data(_data(made))
    elif not console.quiet:
        console.line(f"+ {_told(made)}")
    return 0


def _told(made: Created) -> str:
    sizes = f"{format_size(made.size)} virtual"
    if made.allocated is not None:
        sizes += f", {format_size(made.allocated)} on disk"
    on = f", on {made.backing.name} ({made.backing.format})" if made.backing else ""
    return f"{made.filename}: {made.format}, {sizes}{on}"


def _data(made: Created) -> dict[str, Json]:
    data: dict[str, Json] = {
        "filename": made.filename,
        "format": made.format,
        "virtual-size": made.size,
        "actual-size": made.allocated,
    }
    if made.backing:
        data |= {"backing-filename": made.backing.name, "backing-filename-format": made.backing.format}
    return data


def _format(args: argparse.Namespace) -> str:
    from virtkit.disk import catalog

    return args.target_format or ("raw" if args.file is None else catalog.from_suffix(args.file, "-f"))
