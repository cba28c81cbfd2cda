"""``disk formats``: what virtkit can do with which format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.disk.format import Format

_MARKS = {True: "yes", False: "-"}


def build(parser: Arguments) -> None:
    options.output(parser)
    parser.set_defaults(run=_formats)


def _formats(args: argparse.Namespace, console: Console) -> int:
    from virtkit import disk
    from virtkit.disk import abilities

    known = disk.known_formats()
    able = {name: abilities.of(kind) for name, kind in known.items()}
    if console.json:
        console.data([{**_data(name, known[name]), **able[name]._asdict()} for name in known])
        return 0
    verbs = ["in place" if verb == "write" else verb for verb in abilities.Abilities._fields]
    columns = ("format", "what it is", "suffixes", "read", *verbs)
    rows = [
        (name, kind.title, " ".join(kind.suffixes) or "-", "yes", *(_MARKS[can] for can in able[name]))
        for name, kind in known.items()
    ]
    console.table(columns, rows)
    if console.verbose:
        _print_options(known, console)
    return 0


def _data(name: str, kind: Format) -> dict[str, Json]:
    from virtkit.disk.format import WritableFormat

    listed = kind.options if isinstance(kind, WritableFormat) else ()
    options_: list[Json] = [{"name": one.name, "about": one.about, "default": one.default} for one in listed]
    return {"name": name, "title": kind.title, "suffixes": list(kind.suffixes), "read": True, "options": options_}


def _print_options(known: dict[str, Format], console: Console) -> None:
    from virtkit.disk.format import WritableFormat

    for name, kind in known.items():
        if isinstance(kind, WritableFormat) and kind.options:
            console.line()
            console.line(f"{name}: options (-o)")
            rows = [(one.name, one.default or "-", one.about) for one in kind.options]
            console.table(("option", "default", "what it is"), rows)
