"""``disk map``: where every byte of the guest's disk is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console
    from virtkit.disk.mapping import Entry


def build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE")
    arguments.source(parser)
    arguments.backing(parser)
    options.output(parser)
    parser.set_defaults(run=_map)


def _map(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk

    entries = disk.map(args.file, args.source_format, arguments.access(args))
    if not console.json:
        console.line(f"{'start':>14} {'length':>14} {'offset':>14} depth what")
        for entry in entries:
            at = "-" if entry.offset is None else f"{entry.offset:#x}"
            console.line(f"{entry.start:#14x} {entry.length:#14x} {at:>14} {entry.depth:5} {_what(entry)}")
        return 0
    import json

    between = "["  # written entry by entry: the map of a large disk does not fit in memory
    for entry in entries:
        console.line(between + json.dumps({key: value for key, value in entry._asdict().items() if value is not None}))
        between = ","
    console.line("]" if between == "," else "[]")
    return 0


def _what(entry: Entry) -> str:
    if entry.compressed:
        return "compressed"
    if entry.data:
        return "data"
    return "zeros" if entry.present else "unallocated"
