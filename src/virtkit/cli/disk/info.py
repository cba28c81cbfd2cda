"""``disk info``: format, sizes, backing file, snapshots, and where the data is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.errors import NotSupportedError, VirtkitError
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.show import Console
    from virtkit.disk.chain import Layer
    from virtkit.disk.description import Info


def build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE")
    arguments.source(parser)
    options.output(parser)
    parser.set_defaults(run=_info)


def _info(args: argparse.Namespace, console: Console) -> int:
    if console.json:
        found = [_read_info(path, args).data() for path in args.files]
        console.data(found[0] if len(found) == 1 else found)
        return 0
    status = 0
    for path in args.files:
        try:
            _print_info(path, args, console)
        except VirtkitError as error:  # the other files are still of interest
            if len(args.files) == 1:
                raise
            console.error(error)
            status = error.exit_status
    return status


def _read_info(path: str, args: argparse.Namespace) -> Info:
    from virtkit import disk

    return disk.info(path, args.source_format, arguments.access(args))


def _print_info(path: str, args: argparse.Namespace, console: Console) -> None:
    from virtkit.disk.chain import open_image
    from virtkit.disk.description import describe

    layer = open_image(path, args.source_format, arguments.access(args)._replace(shared=True))
    try:
        for line in _info_lines(describe(layer)):
            console.line(line)
        _print_picture(layer, console)
    finally:
        layer.image.close()


def _info_lines(info: Info) -> list[str]:
    facts = info.facts
    share = f" ({info.actual_size / info.virtual_size:.1%} of the virtual size)" if info.virtual_size else ""
    lines = [
        f"{info.filename}: {info.format}, {format_size(info.virtual_size)} ({info.virtual_size} bytes)",
        f"  on disk       {format_size(info.actual_size)}{share}",
    ]
    if facts.cluster_size:
        lines.append(f"  cluster size  {format_size(facts.cluster_size)}")
    if info.backing:
        lines.append(f"  backing file  {info.backing.name} ({info.backing.format or 'format not said'})")
    if facts.snapshots:
        names = ", ".join(str(snapshot["name"]) for snapshot in facts.snapshots)
        lines.append(f"  snapshots     {len(facts.snapshots)}: {names}")
    state = [word for word, holds in (("dirty", facts.dirty), ("encrypted", facts.encrypted)) if holds]
    if state:
        lines.append(f"  state         {', '.join(state)}")
    plain = {key: value for key, value in (facts.specific or {}).items() if isinstance(value, str | int)}
    if plain:
        lines.append("  details       " + ", ".join(f"{key} {_word(value)}" for key, value in plain.items()))
    return lines


def _word(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _print_picture(layer: Layer, console: Console) -> None:
    from virtkit.cli import picture

    style = picture.glyphs()
    try:
        rows = list(picture.draw(layer.image, style))
    except NotSupportedError as error:  # an image may be described although its data cannot be read
        console.line(f"  allocation    not shown: {error.message}")
        return
    size = format_size(picture.cell_size(layer.image))
    console.line(f"  allocation    a character is {size}: {style.legend}")
    for row in rows:
        console.line(f"    {row}")
