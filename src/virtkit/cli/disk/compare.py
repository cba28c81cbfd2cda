"""``disk compare``: whether a guest sees the same disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.errors import VirtkitError

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console

DIFFERENT, COULD_NOT_COMPARE = 1, 2  # exit statuses, as qemu-img's


def build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("left", metavar="FILE1")
    parser.add_argument("right", metavar="FILE2")
    arguments.source(parser)
    parser.add_argument("-F", dest="right_format", metavar="FORMAT", help="format of FILE2")
    parser.add_argument("-s", dest="strict", action="store_true", help="sizes and allocation must be the same too")
    parser.add_argument("-p", dest="progress", action="store_true", help="as qemu-img's; progress is shown anyway")
    arguments.backing(parser)
    options.output(parser)
    parser.set_defaults(run=_compare)


def _compare(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    try:
        with console.progress() as report:
            found = disk.compare(
                args.left,
                args.right,
                left_format=args.source_format,
                right_format=args.right_format,
                strict=args.strict,
                access=arguments.access(args),
                report=report,
            )
    except VirtkitError as error:
        console.error(error)
        return COULD_NOT_COMPARE
    identical = found.same_content and (not args.strict or (found.same_size and found.status_offset is None))
    if console.json:
        console.data({"identical": identical, **found._asdict()})
        return 0 if identical else DIFFERENT
    if not found.same_size:
        console.line("Strict mode: Image size mismatch!" if args.strict else "Warning: Image size mismatch!")
    if found.status_offset is not None:
        console.line(f"Strict mode: Offset {found.status_offset} block status mismatch!")
    elif found.offset is not None:
        console.line(f"Content mismatch at offset {found.offset}!")
    elif identical and not console.quiet:
        console.line("Images are identical.")
    return 0 if identical else DIFFERENT
