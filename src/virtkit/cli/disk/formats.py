"""``disk formats``: what virtkit reads, writes and checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console


def build(parser: argparse.ArgumentParser) -> None:
    options.output(parser)
    parser.set_defaults(run=_formats)


def _formats(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk
    from virtkit.disk.format import CheckableFormat, WritableFormat

    known = disk.known_formats()
    rows = [
        (name, kind.title, kind.suffixes, isinstance(kind, WritableFormat), isinstance(kind, CheckableFormat))
        for name, kind in known.items()
    ]
    if console.json:
        keys = ("name", "title", "suffixes", "writable", "checkable")
        console.data([dict(zip(keys, row, strict=True)) for row in rows])
        return 0
    marks = {True: "yes", False: "-"}
    console.table(
        ("format", "what it is", "suffixes", "write", "check"),
        [
            (name, title, " ".join(suffixes), marks[writes], marks[checks])
            for name, title, suffixes, writes, checks in rows
        ],
    )
    return 0
