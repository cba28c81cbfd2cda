"""``disk info``: format, sizes, backing files, snapshots, and where the data is."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments, refused, several
from virtkit.core.errors import VirtkitError
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.cli.picture import Mapped
    from virtkit.cli.show import Console
    from virtkit.disk.access import Access
    from virtkit.disk.chain import Layer
    from virtkit.disk.description import Info


def build(parser: Arguments) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help=several.ABOUT)
    parser.mixed = True
    parser.add_argument("--backing-chain", action="store_true", help="all images that FILE stands on, too")
    arguments.source(parser)
    arguments.backing(parser)
    options.output(parser)
    refused.flags(parser, ("--image-opts", "--object"))
    parser.set_defaults(run=_info)


def _info(args: argparse.Namespace, console: Console) -> int:
    access = arguments.access(args)._replace(shared=True)  # also while a machine has it
    tell = _tell if console.json else _print

    def one(path: str) -> int:
        tell(path, args, access, console)
        return 0

    return several.each(args.files, one, console, apart=True)


def _tell(path: str, args: argparse.Namespace, access: Access, console: Console) -> None:
    from virtkit.disk.description import describe

    with _opened(path, args, access) as layers:
        found = [describe(layer).data() for layer in layers]
    console.data(found if args.backing_chain else found[0])


def _print(path: str, args: argparse.Namespace, access: Access, console: Console) -> None:
    from virtkit.cli.disk import facts
    from virtkit.disk.chain import Chain
    from virtkit.disk.description import describe

    with _opened(path, args, access) as layers:
        for number, layer in enumerate(layers):
            if number:
                console.line()
            info = describe(layer)
            for line in facts.lines(info):
                console.line(line)
            if info.facts.snapshots:
                _print_snapshots(info, console)
            _print_picture(layer.image, console)
        if len(layers) > 1:
            console.line(f"\nall {len(layers)} together, as a guest sees the disk:")
            _print_picture(Chain(layers), console)


@contextmanager
def _opened(path: str, args: argparse.Namespace, access: Access) -> Iterator[list[Layer]]:
    """Also where a backing image is not as it was."""
    from virtkit.disk.chain import close, open_image, open_layers

    if args.backing_chain:
        layers = open_layers(path, args.source_format, access, trust_heirs=True)
    else:
        layers = [open_image(path, args.source_format, access)]
    try:
        yield layers
    finally:
        close(layers)


def _print_snapshots(info: Info, console: Console) -> None:
    from virtkit.cli.disk import moments

    for line in moments.lines(info.facts.snapshots):
        console.line(f"    {line}")


def _print_picture(disk: Mapped, console: Console) -> None:
    from virtkit.cli import picture

    style = picture.glyphs()
    try:
        rows = list(picture.draw(disk, style))
    except VirtkitError as error:  # an image may be described although its data cannot be read
        console.line(f"  allocation    not shown: {error.message}")
        return
    size = format_size(picture.cell_size(disk))
    console.line(f"  allocation    a character is {size}: {style.legend}")
    for row in rows:
        console.line(f"    {row}")
