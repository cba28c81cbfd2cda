"""``disk dd``: blocks of an image's disk as a new image."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, consent, refused
from virtkit.core.errors import UsageError
from virtkit.core.progress import silent
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.progress import Sink
    from virtkit.disk.conversion.order import Converted

OPERANDS = ("if", "of", "bs", "count", "skip")
_HELP = "if=FILE of=FILE [bs=SIZE] [count=BLOCKS] [skip=BLOCKS]; count includes the skipped ones, as qemu-img's"


def build(parser: Arguments) -> None:
    parser.add_argument("operands", metavar="NAME=VALUE", nargs="*", help=_HELP)
    parser.mixed = True
    arguments.source(parser)
    arguments.progress(parser)
    parser.add_argument("-O", dest="target_format", metavar="FORMAT", help="format of the output; else its suffix says")
    parser.add_argument("--overwrite", action="store_true", help="replace the output if it exists")
    refused.flags(parser, ("--image-opts", "--object"))
    arguments.backing(parser)
    options.change(parser)
    parser.set_defaults(run=_dd)


def _dd(args: argparse.Namespace, console: Console) -> int:
    given = _operands(args.operands)
    if args.plan:
        would = _make(args, given, silent, dry_run=True)
        text = f"{would.target}: {would.format}, {format_size(would.size)}, made from blocks of {given['if']}"
        proposal = consent.Proposal(f"dd {given['if']}", (consent.Step("+", text),))
        return consent.settle(proposal, args, console, ask=False) or 0
    with console.transfer(asked=args.progress) as report:
        made = _make(args, given, report)
    if not made.size:
        console.note(f"{given['if']}: skip reaches past what is read: the new disk is empty")
    if console.json:
        console.data({"filename": made.target, "format": made.format, "virtual-size": made.size})
    elif not console.quiet:
        console.line(f"+ {made.target}: {made.format}, {format_size(made.size)} ({made.size} bytes)")
    return 0


def _operands(words: list[str]) -> dict[str, str]:
    given = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in OPERANDS:
            raise UsageError(f"operand is {word}, expected one of {', '.join(f'{name}=' for name in OPERANDS)}")
        given[name] = value
    if missing := [name for name in ("if", "of") if not given.get(name)]:
        raise UsageError(f"{missing[0]}= is missing, expected the name of a file", hint="if=disk.qcow2 of=part.raw")
    return given


def _make(args: argparse.Namespace, given: dict[str, str], report: Sink, *, dry_run: bool = False) -> Converted:
    from virtkit import disk

    return disk.dd(
        given["if"],
        given["of"],
        block=parse_size(given.get("bs", "512")),
        count=parse_size(given["count"]) if "count" in given else None,
        skip=parse_size(given.get("skip", "0")),
        source_format=args.source_format,
        target_format=args.target_format,
        overwrite=args.overwrite,
        dry_run=dry_run,
        access=arguments.access(args),
        report=report,
    )
