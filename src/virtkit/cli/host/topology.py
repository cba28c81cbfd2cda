"""``virtkit host topology``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtkit.cli import options
from virtkit.cli.host import source
from virtkit.cli.host.words import counts

if TYPE_CHECKING:
    import argparse

    from virtkit.cli.options import Arguments
    from virtkit.cli.show import Console


def build(parser: Arguments) -> None:
    options.output(parser)
    source.add(parser)
    parser.set_defaults(run=topology)


def topology(args: argparse.Namespace, console: Console) -> int:
    from virtkit.host.drawing import draw
    from virtkit.host.kernel import Kernel
    from virtkit.host.picture import data
    from virtkit.host.topology import read_topology

    with source.host_of(args) as system:
        found = read_topology(Kernel(system))
    if console.json:
        console.data(data(found))
        return 0
    console.line(counts(found))
    for line in draw(found):
        console.line(f"  {line}")
    return 0
