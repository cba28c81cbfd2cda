"""``disk convert``: a new image with the content of another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.errors import UsageError
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console
    from virtkit.core.plan import Json


def build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("target", metavar="TARGET")
    arguments.source(parser)
    parser.add_argument("-O", dest="target_format", metavar="FORMAT", help="format of TARGET; else its suffix says")
    parser.add_argument("-o", dest="options", action="append", default=[], metavar="NAME=VALUE[,...]", help="of TARGET")
    parser.add_argument("-c", dest="compress", action="store_true", help="compress; see -o compression_type=zstd")
    parser.add_argument("--level", choices=("fast", "balanced", "small"), help="of compression; implies -c")
    parser.add_argument("-p", dest="progress", action="store_true", help="as qemu-img's; progress is shown anyway")
    parser.add_argument("--overwrite", action="store_true", help="replace TARGET if it exists")
    parser.add_argument("--durable", action="store_true", help="return when all is on stable storage")
    arguments.backing(parser)
    options.change(parser)
    parser.set_defaults(run=_convert)


def _convert(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    wanted = _parse_options(args.options)
    if args.plan:
        return _plan(args, console)
    with console.progress() as report:
        made = disk.convert(
            args.source,
            args.target,
            source_format=args.source_format,
            target_format=args.target_format,
            compress=args.compress or args.level is not None,
            level=args.level or "balanced",
            options=wanted,
            overwrite=args.overwrite,
            durable=args.durable,
            access=arguments.access(args),
            report=report,
        )
    if console.json:
        sizes: dict[str, Json] = {"virtual-size": made.size, "actual-size": made.allocated}
        console.data({"filename": made.target, "format": made.format, **sizes})
    elif not console.quiet:
        sizes_text = f"{format_size(made.size)} virtual, {format_size(made.allocated)} on disk"
        console.line(f"+ {made.target}: {made.format}, {sizes_text}")
    return 0


def _plan(args: argparse.Namespace, console: Console) -> int:
    """One line. The source is opened, so that what would be refused is refused now."""
    from virtkit import disk
    from virtkit.core.plan import Plan
    from virtkit.disk import catalog
    from virtkit.disk.actions import Convert

    kind = args.target_format or catalog.from_suffix(args.target)
    catalog.load_writable(kind)
    with disk.open(args.source, "r", args.source_format, arguments.access(args)) as chain:
        found = chain.format
    if os.path.exists(args.target) and not args.overwrite:
        raise UsageError(f"{args.target}: exists already", hint="another name, or --overwrite")
    source, target = os.path.abspath(args.source), os.path.abspath(args.target)
    step = Convert(source, target, found, kind, allow_backing=args.allow_backing)
    console.plan(Plan(f"convert {args.source}", (step,)))
    return options.PLAN_HAS_CHANGES


def _parse_options(words: list[str]) -> dict[str, str]:
    parsed = {}
    for pair in (pair for word in words for pair in word.split(",")):
        name, equals, value = pair.partition("=")
        if not equals:
            raise UsageError(f"-o: option is {pair!r}, expected NAME=VALUE", hint="-o cluster_size=64K")
        parsed[name] = value
    return parsed
