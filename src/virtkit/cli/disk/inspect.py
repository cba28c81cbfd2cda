"""``disk inspect``: whether an image is safe to give to programs that open it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.units import format_size, parse_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.inspection import Inspection

NOT_SAFE = 1  # exit status


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument(
        "--policy",
        choices=("default", "untrusted"),
        default="default",
        help="untrusted: from a stranger; it may name no other file, and odd is dangerous",
    )
    parser.add_argument("--max-size", metavar="SIZE", type=parse_size, help="the largest disk that is safe (64T)")
    arguments.source(parser)
    arguments.backing(parser)
    options.output(parser)
    parser.set_defaults(run=_inspect)


def _inspect(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk
    from virtkit.disk.inspection import LARGEST

    found = disk.inspect(
        args.file,
        args.source_format,
        arguments.access(args),
        policy=args.policy,
        largest=LARGEST if args.max_size is None else args.max_size,
    )
    if console.json:
        console.data(_data(found))
    else:
        _print(found, console)
    return 0 if found.safe else NOT_SAFE


def _print(found: Inspection, console: Console) -> None:
    size = "" if found.virtual_size is None else f", {format_size(found.virtual_size)}"
    verdict = f"{'✓' if found.safe else '✗'} {found.filename}: {found.format or 'no known format'}{size}"
    console.line(f"{verdict}: {'safe' if found.safe else 'NOT safe'} by the policy {found.policy}")
    for one in found.references:
        console.line(f"  names   {one.what} {one.name}" + (f" ({one.format})" if one.format else ""))
    for finding in found.findings:
        console.line(f"  {'danger' if finding.danger else 'note'}  {'' if finding.danger else '  '}{finding.message}")


def _data(found: Inspection) -> dict[str, Json]:
    return {
        "filename": found.filename,
        "format": found.format,
        "policy": found.policy,
        "safe": found.safe,
        "virtual-size": found.virtual_size,
        "actual-size": found.actual_size,
        "references": [one._asdict() for one in found.references],
        "findings": [one._asdict() for one in found.findings],
    }
