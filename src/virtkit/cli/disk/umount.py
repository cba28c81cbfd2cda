"""``disk umount``: undo ``disk mount``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    parser.add_argument("directory", metavar="DIR")
    options.output(parser)
    parser.set_defaults(run=_umount)


def _umount(args: argparse.Namespace, console: Console) -> int:
    from virtkit.disk.mount.mounting import unmount

    alive = unmount(args.directory)
    if console.json:
        console.data({"directory": args.directory, "died": not alive})
    elif alive:
        console.line(f"- {args.directory}: unmounted, everything written is on the disk")
    else:
        console.line(f"- {args.directory}: unmounted; its process had died, what it had not written yet is lost")
    return 0
