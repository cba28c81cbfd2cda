"""``virtkit vm screenshot``."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.vm import facts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console

_PRIVATE = 0o600  # whatever is on a screen may be a secret


def build(parser: Arguments) -> None:
    facts.named(parser)
    parser.add_argument("file", metavar="FILE.png", nargs="?", help="where it goes (NAME.png); - for standard output")
    parser.add_argument("--screen", metavar="N", type=int, default=0, help="which, if there are several, from 0")
    options.output(parser)
    parser.set_defaults(run=_screenshot)


def _screenshot(args: argparse.Namespace, console: Console) -> int:
    from virtkit import vm
    from virtkit.core.errors import UsageError
    from virtkit.core.system import System
    from virtkit.vm import png

    if args.file == "-" and console.json:
        raise UsageError("-: standard output has room for the picture or for JSON", hint="a file's name")
    picture = vm.screenshot(args.name, args.screen)
    if args.file == "-":
        sys.stdout.buffer.write(picture)
        return 0
    path = os.path.abspath(args.file or f"{args.name}.png")
    System().replace(path, picture, _PRIVATE)
    width, height = png.size(picture)
    if console.json:
        console.data({"path": path, "width": width, "height": height, "bytes": len(picture)})
    else:
        console.line(f"✓ {path}: {width} x {height}")
    return 0
