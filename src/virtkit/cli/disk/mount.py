"""``disk mount``: the guest's disk as a file in a directory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.disk import arguments
from virtkit.core.units import format_size

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    parser.add_argument("file", metavar="FILE")
    parser.add_argument("directory", metavar="DIR", help="an empty directory")
    arguments.source(parser)
    arguments.backing(parser)
    parser.add_argument("--write", action="store_true", help="let the files be written to")
    parser.add_argument("--foreground", action="store_true", help="do not go on in the background: until Ctrl-C")
    options.output(parser)
    parser.set_defaults(run=_mount)


def _mount(args: argparse.Namespace, console: Console) -> int:
    from virtkit.disk.mount.mounting import mount

    access = arguments.access(args)
    files = mount(args.file, args.directory, args.source_format, access, write=args.write, foreground=args.foreground)
    sizes = {path: os.stat(path).st_size for path in files}
    if console.json:
        console.data([{"filename": path, "virtual-size": size, "writable": args.write} for path, size in sizes.items()])
        return 0
    for path, size in sizes.items():
        console.line(f"+ {path}: {format_size(size)}, {'writable' if args.write else 'read-only'}")
    return 0
