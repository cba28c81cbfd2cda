"""``virtkit host facts``: everything that is known about the host, and the record of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import source

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console
    from virtkit.core.plan import Json
    from virtkit.core.system import System


def build(parser: Arguments) -> None:
    options.output(parser)
    source.add(parser)
    about = "record the host: `--from FILE.json` then answers about it anywhere, and without root"
    parser.add_argument("--save", metavar="FILE.json", help=about)
    parser.set_defaults(run=facts)


def facts(args: argparse.Namespace, console: Console) -> int:
    from virtkit import host

    with source.host_of(args) as system:
        if args.save is not None:
            return _save(args.save, system, console)
        knobs: dict[str, Json] = {row.setting.name: row.now for row in host.list_knobs(system)}
        found = {**host.facts(system).data(), "knobs": knobs}
    if console.json:
        console.data(found)
        return 0
    for line in _outline(found):
        console.line(line)
    return 0


def _save(file: str, system: System, console: Console) -> int:
    from virtkit import host
    from virtkit.core.units import format_size

    size = host.save_record(system, file)
    if console.json:
        console.data({"file": file, "size": size})
        return 0
    console.line(f"✓ {file}: this host is recorded in {format_size(size)}")
    console.note(f"virtkit host show --from {file}")
    return 0


def _outline(value: dict[str, Json], indent: str = "") -> Iterator[str]:
    """A line for each value; what has parts stands above them."""
    for key, member in value.items():
        match member:
            case dict() if member:
                yield f"{indent}{key}"
                yield from _outline(member, f"{indent}  ")
            case list() if any(isinstance(part, dict) for part in member):
                yield f"{indent}{key}"
                for number, part in enumerate(member):
                    yield from _outline({str(number): part}, f"{indent}  ")
            case _:
                yield f"{indent}{key}: {_spelled(member)}"


def _spelled(value: Json) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return " ".join(map(_spelled, value)) or "none"
        case dict():
            return "none"
    return str(value)
