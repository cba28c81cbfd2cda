"""``disk measure``: how long the file of a new image would become."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, making, refused
from virtkit.core.errors import UsageError
from virtkit.core.units import parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE", nargs="?", help="the image whose content the new one would have")
    parser.mixed = True
    parser.add_argument("--size", type=parse_size, metavar="SIZE", help="or of an empty disk of this size")
    parser.add_argument("-O", dest="target_format", default="raw", metavar="FORMAT", help="of the new image, or raw")
    making.options(parser)
    parser.add_argument("-l", dest="snapshot", metavar="SNAPSHOT", help="an internal snapshot of FILE, by id or name")
    arguments.source(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    arguments.backing(parser)
    options.output(parser)
    parser.set_defaults(run=_measure)


def _measure(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    if making.asks_for_help(args):
        return making.show_options(args.target_format, console)
    _check(args)
    found = disk.measure(
        args.file,
        size=args.size or 0,
        target_format=args.target_format,
        options=making.parsed(args),
        source_format=args.source_format,
        snapshot=args.snapshot,
        access=arguments.access(args),
    )
    if console.json:
        data: dict[str, Json] = {"required": found.required, "fully-allocated": found.fully_allocated}
        console.data(data if found.bitmaps is None else {"bitmaps": found.bitmaps, **data})
        return 0
    console.line(f"required size: {found.required}")
    console.line(f"fully allocated size: {found.fully_allocated}")
    if found.bitmaps is not None:
        console.line(f"bitmaps size: {found.bitmaps}")
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.file is None and args.size is None:
        raise UsageError("neither FILE nor --size is given", hint="--size 10G")
    if args.file is not None and args.size is not None:
        raise UsageError("--size is given, and FILE has its own", hint="one of both")
    if args.file is None and (args.source_format or args.snapshot):
        raise UsageError("-f and -l are about FILE, and none is given")
