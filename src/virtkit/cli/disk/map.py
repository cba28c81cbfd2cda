"""``disk map``: where every byte of the guest's disk is."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, refused, several
from virtkit.core.errors import NotSupportedError, VirtkitError
from virtkit.core.units import parse_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.disk.mapping import Entry

_TOGETHER = 512  # entries of JSON in one write
_APART = ",\n"


def build(parser: Arguments) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=several.ABOUT)
    parser.mixed = True
    arguments.source(parser)
    parser.add_argument(
        "-s", "--start-offset", type=parse_size, default=0, metavar="OFFSET", help="begin there, in bytes of the disk"
    )
    parser.add_argument("-l", "--max-length", type=parse_size, metavar="SIZE", help="end that much further")
    refused.flags(parser, ("--image-opts", "--object"))
    arguments.backing(parser)
    options.output(parser)
    parser.set_defaults(run=_map)


def _map(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    access = arguments.access(args)

    def one(path: str) -> int:
        entries = disk.map(path, args.source_format, access, start=args.start_offset, length=args.max_length)
        if console.json:
            return _print_json(entries, console)
        entries = _begun(entries)
        if len(args.files) > 1:
            console.line(f"{path}:")
        if console.verbose:
            console.lines(_all(entries))
        else:
            console.lines(_data(entries, path))
        return 0

    return several.each(args.files, one, console, apart=True)


def _data(entries: Iterable[Entry], name: str) -> Iterator[str]:
    """As qemu-img: where a program that reads the files finds the guest's data."""
    yield f"{'Offset':16}{'Length':16}{'Mapped to':16}File"
    for entry in entries:
        if not entry.data:
            continue
        if entry.offset is None:
            raise NotSupportedError(
                f"{name}: is compressed or encrypted at byte {entry.start:#x}: there is no place to tell",
                hint=f"virtkit disk map -v {name}",
            )
        yield f"{_column(entry.start)}{_column(entry.length)}{_column(entry.offset)}{entry.file}"


def _column(number: int) -> str:
    return f"{number:<#16x}" if number else f"{0:<16}"


def _begun(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The same; the image is open by now, so that no heading is printed for one that cannot be opened."""
    rest = iter(entries)
    first = next(rest, None)
    return rest if first is None else chain((first,), rest)


def _all(entries: Iterable[Entry]) -> Iterator[str]:
    yield f"{'start':>14} {'length':>14} {'offset':>14} depth what"
    for entry in entries:
        at = "-" if entry.offset is None else f"{entry.offset:#x}"
        yield f"{entry.start:#14x} {entry.length:#14x} {at:>14} {entry.depth:5} {_what(entry)}"


def _print_json(entries: Iterable[Entry], console: Console) -> int:
    """Some at a time: the map of a large disk does not fit in memory. Where it breaks off, the error is the last."""
    opening, waiting = "[", list[str]()
    try:
        for entry in entries:
            if len(waiting) == _TOGETHER:
                console.write(opening + _APART.join(waiting))
                opening, waiting = _APART, []
            waiting.append(entry.json())
    except VirtkitError as error:
        if not waiting:
            raise
        console.line(f"{opening}{_APART.join(waiting)},")
        console.error(error)
        console.line("]")
        return error.exit_status
    console.line(f"{opening}{_APART.join(waiting)}]")
    return 0


def _what(entry: Entry) -> str:
    if entry.compressed:
        return "compressed"
    if entry.data:
        return "data"
    return "zeros" if entry.present else "unallocated"
