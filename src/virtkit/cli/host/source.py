"""``--from FILE.json``: the same answer about a host that was recorded, on this machine or on another."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from virtkit.cli.options import Arguments
    from virtkit.core.system import System


def add(parser: Arguments) -> None:
    about = "answer about the host that `virtkit host facts --save` recorded there, not about this one"
    parser.add_argument("--from", metavar="FILE.json", dest="recorded", help=about)


@contextmanager
def host_of(args: argparse.Namespace) -> Iterator[System]:
    """Either this host or, while the block runs, the recorded one. NotFoundError, SystemCallError, UsageError."""
    from virtkit.core.system import System

    if args.recorded is None:
        yield System()
        return
    from virtkit.host.record import load, replayed

    with replayed(load(args.recorded)) as system:
        yield system
