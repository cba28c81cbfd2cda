"""Packets lost by the method that puts a host's only link under a bridge: docs/en/network.md says how to read it."""

from __future__ import annotations

import argparse
import os
import platform
import signal
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from bench.network import report
from bench.network.methods import METHODS
from bench.network.trial import Trial, attempt
from netns import house
from netns import lab as labs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.network.methods import Method


def main() -> int:
    args = _arguments().parse_args()
    if args.runs:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # what was mounted is let go of
        _say(f"Linux {platform.release()}, {os.cpu_count()} processors; {args.rate} pings a second, four times")
        with _house() as (folder, root), args.record.open("a", encoding="ascii") as record:
            for _ in range(args.runs):  # of each in turn: what else happens on this machine, happens to all
                for name in args.methods or METHODS:
                    trial = _once(METHODS[name], folder, root, args.rate)
                    record.write(report.line(name, args.rate, trial) + "\n")
                    record.flush()
    for line in report.table(report.read(args.record.read_text(encoding="ascii"))):
        _say(line)
    return 0


def _once(method: Method, folder: Path, root: Path, rate: int) -> Trial:
    """Namespaces of its own for each trial: nothing is left over from the one before."""
    lab = labs.Lab(f"vkb{os.getpid()}-host", f"vkb{os.getpid()}-gateway", folder / "state", root)
    labs.remove(lab)
    try:
        labs.build(lab)
        return attempt(lab, method, rate)
    finally:
        method.clear(lab)
        labs.remove(lab)


@contextmanager
def _house() -> Iterator[tuple[Path, Path]]:
    """A root for the host, with the daemons that are not installed here; and the folder that it shares with us."""
    with tempfile.TemporaryDirectory(prefix="virtkit-bench-") as name:
        folder = Path(name)
        shared = folder / "shared"
        shared.mkdir()
        try:
            yield shared, house.build(folder / "house", house.layer(folder / "layer"), [shared])
        finally:
            house.remove(folder / "house")
            house.remove(folder / "layer")


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/bench/network/run", description=__doc__)
    parser.add_argument("methods", nargs="*", metavar="METHOD", choices=[[], *METHODS], help=", ".join(METHODS))
    parser.add_argument("--runs", type=int, default=20, help="of each method; 0 only shows what was recorded")
    parser.add_argument("--record", type=Path, default=Path("/tmp/virtkit-bench-network"), help="where to add them")
    parser.add_argument("--rate", type=int, default=2000, help="pings a second, per direction and family")
    return parser


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
