"""``virtkit disk``: what a person types about images. Flags and JSON keys are qemu-img's where it has them.

A verb is a module of its name with ``build(parser)``; the line here says what it does.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from virtkit.cli import options

if TYPE_CHECKING:
    from virtkit.cli.options import Arguments

VERBS = {
    "create": "make an empty image, also on a backing image",
    "resize": "make the disk longer or shorter",
    "append": "more room at the end of a raw disk",
    "rebase": "put an image on another backing image, or on none",
    "commit": "write what an image holds into its backing image",
    "compact": "give back room in place: zeros dropped, tail moved, file cut",
    "snapshot": "list, create, apply, delete and extract internal snapshots",
    "inspect": "whether an image is safe to open: exit status 0 or 1",
    "info": "format, sizes, backing file, snapshots, and where the data is",
    "map": "where every byte of the guest's disk is",
    "convert": "make a new image with the content of another",
    "dd": "blocks of an image's disk as a new image",
    "measure": "how long the file of a new image would become",
    "compare": "whether a guest sees the same disk: exit status 0 or 1",
    "bench": "how many requests an image answers in a second",
    "amend": "other options for an existing image",
    "bitmap": "dirty bitmaps: what was written since, for backups",
    "check": "hold an image's metadata against each other",
    "repair": "mend what check finds, so that it can be taken back",
    "serve": "let programs of this host use an image as a network block device",
    "mount": "show an image as a raw file in a directory",
    "umount": "undo mount: everything written is on the disk then",
    "lvm": "logical volumes: list, create, snapshot, remove",
    "formats": "the formats that virtkit knows",
}


def build(parser: Arguments) -> None:
    options.verbs(parser, {verb: (partial(_build, verb), about) for verb, about in VERBS.items()})


def _build(verb: str, parser: Arguments) -> None:
    import_module(f"virtkit.cli.disk.{verb}").build(parser)
