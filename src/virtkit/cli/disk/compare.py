"""``disk compare``: whether a guest sees the same disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, refused
from virtkit.core.errors import UnknownFormatError, VirtkitError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.progress import Sink
    from virtkit.disk.comparison import Comparison

DIFFERENT, COULD_NOT_COMPARE = 1, 2  # exit statuses, as qemu-img's


def build(parser: Arguments) -> None:
    parser.add_argument("left", metavar="FILE1")
    parser.add_argument("right", metavar="FILE2")
    arguments.source(parser)
    parser.add_argument("-F", dest="right_format", metavar="FORMAT", help="format of FILE2")
    parser.add_argument("--key-file2", metavar="FILE", help="as --key-file, for FILE2; without it both have the same")
    parser.add_argument("-s", dest="strict", action="store_true", help="sizes and allocation must be the same too")
    arguments.progress(parser)
    parser.add_argument("-T", dest="source_cache", metavar="CACHE", help="as qemu-img's; has no effect here")
    refused.flags(parser, ("--image-opts", "--object"))
    arguments.backing(parser)
    options.output(parser)
    parser.set_defaults(run=_compare)


def _compare(args: argparse.Namespace, console: Console) -> int:
    try:
        with console.transfer(asked=args.progress) as report:
            found = _compared(args, report)
    except VirtkitError as error:
        console.error(error)
        return COULD_NOT_COMPARE
    identical = found.same_content and (not args.strict or (found.same_size and found.status_offset is None))
    if console.json:
        console.data({"identical": identical, **found._asdict()})
    elif not console.quiet:
        for line in _lines(found, strict=args.strict):
            console.line(line)
    return 0 if identical else DIFFERENT


def _compared(args: argparse.Namespace, report: Sink) -> Comparison:
    from virtkit import disk

    access = arguments.access(args)
    try:
        return disk.compare(
            args.left,
            args.right,
            left_format=args.source_format,
            right_format=args.right_format,
            strict=args.strict,
            access=access,
            right_access=access._replace(secret=arguments.secret(args.key_file2)) if args.key_file2 else access,
            report=report,
        )
    except UnknownFormatError as error:
        if error.image == args.right:
            error.hint = "if it is a raw disk, say so: -F raw"
        raise


def _lines(found: Comparison, *, strict: bool) -> list[str]:
    """qemu-img's, one by one."""
    if strict and not found.same_size:
        return ["Strict mode: Image size mismatch!"]
    if found.status_offset is not None:
        return [f"Strict mode: Offset {found.status_offset} block status mismatch!"]
    common = min(found.left_size, found.right_size)
    beyond = found.offset is None or found.offset >= common
    warning = [] if found.same_size or not beyond else ["Warning: Image size mismatch!"]
    result = "Images are identical." if found.offset is None else f"Content mismatch at offset {found.offset}!"
    return [*warning, result]
